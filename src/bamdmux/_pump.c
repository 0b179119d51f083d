/* The native pump: packets between TUNs and ring slots, many at a time, with the GIL released.
 *
 *     fill    TUN -> slots     a super-packet of the kernel becomes one frame for each of its segments
 *     drain   slots -> TUN     frames are copied, checked, and segments of a flow become super-packets again
 *
 * It does what host/transmit.py, host/receive.py, modem/downlink.py and modem/uplink.py do with plain data, with the
 * same results, and stops at whatever is not: a command, a wrong frame, a packet for nobody. Python handles that one
 * and calls again. How far a call came is returned; Python moves its own positions, publishes and rings. Segments and
 * super-packets are those of wire/offload.py, which says what is merged and why, and cites the sources.
 *
 * The peer may change shared memory at any time: a word of it is read once, a slot is copied before it is looked at,
 * a header is put together elsewhere, and nothing that was written there is read back. Headers from a TUN are checked
 * too: whoever has the descriptor may have written them. What Python passes is checked once for each call.
 *
 * Nothing is held back: when a call returns, all that it took from a ring is written. An Interface is for one thread
 * at a time. A call has one frame on its stack, 64 KiB. What it wrote to shared memory is there before whatever
 * Python writes afterwards, and what it reads is no older than the position or tail that Python read before.
 *
 * A ring that is full or empty ends a call, unless its other side is another process, and awake: then the two take
 * turns, each in a call of its own, as long as there is plain data and their budgets last.
 */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "descriptors, frame headers and virtio_net_hdr are little-endian, and are read in place"
#endif

enum {
    PI_BYTES = 4, /* packet information of a TUN: u16 flags, u16 protocol in network order */
    VNET_BYTES = 10,
    PREFIX_BYTES = PI_BYTES + VNET_BYTES,
    TRUNCATED_FLAG = 1, /* TUN_PKT_STRIP of include/uapi/linux/if_tun.h */
    HEADER_BYTES = 8,   /* of a frame: wire/dmux.py */
    WORD_BYTES = 4,
    CHANNELS = 8,
    DESCRIPTOR_BYTES = 8, /* bam/pipe.py */
    MAX_TRANSFER = 0xffff,
    MAX_ENTRIES = 8191,
    MAX_PACKET = 0xffff, /* this and the following: wire/offload.py */
    MAX_HEADERS = 256,
    MAX_FLOWS = 8,
    MAX_UDP_SEGMENTS = 64,
    AWAKE = 1, /* bam/wakefulness.py */
    PATIENCE_NS = 50 * 1000, /* SPIN of live/runner.py */
    CROWDED_NS = 1500 * 1000, /* of others behind a yield: a slice of theirs, no wake-up */
    CROWDED_FOR_NS = 20 * 1000 * 1000,
    TURNS_BUDGET = 512,      /* of frames that one call takes from a ring, in several turns */
    MANY = 32,               /* frames, more than acks come at a time */
};

static const uint64_t MAGIC = 0x33fc;
static const uint64_t DATA_MASK = 0x0000f800ff00ffff;
static const uint16_t FLAG_EOT = 0x4000;

/* include/uapi/linux/virtio_net.h */
enum { NEEDS_CSUM = 1, GSO_NONE = 0, GSO_TCPV4 = 1, GSO_TCPV6 = 4, GSO_UDP_L4 = 5, GSO_ECN = 0x80 };

struct vnet {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset;
} __attribute__((packed));

static const struct vnet NO_OFFLOAD;

enum { TCP = 6, UDP = 17, ICMPV6 = 58 };
enum { IPV4_BYTES = 20, IPV6_BYTES = 40, TCP_BYTES = 20, UDP_BYTES = 8 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, CWR = 128 };
static const uint16_t FRAGMENT_MASK = 0x3fff;

/* -- Bytes -- */

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }
static uint64_t get64(const uint8_t *at) { return (uint64_t)get32(at) << 32 | get32(at + 4); }
static uint8_t version_of(const uint8_t *packet) { return packet[0] >> 4; }

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define FOR_ANY_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define FOR_ANY_PROCESSOR
#endif

/* The ones' complement sum, unfolded, in the byte order of memory: RFC 1071 section 2(B) says that this does not
 * matter. A loop this plain is what the compiler makes vectors of. */
FOR_ANY_PROCESSOR
static uint64_t sum_of(const uint8_t *at, size_t length)
{
    uint64_t low = 0, high = 0;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        low += word & 0xffffffff;
        high += word >> 32;
    }
    uint64_t rest = 0;
    if (length)
        memcpy(&rest, at, length);
    return low + high + (rest & 0xffffffff) + (rest >> 32);
}

static uint16_t fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static void put_sum(uint8_t *at, uint16_t sum) { memcpy(at, &sum, 2); }

static void put_checksum(uint8_t *at, uint64_t sum) { put_sum(at, (uint16_t)~fold(sum)); }

/* 0 is written as what means the same, for in UDP it means that there is none. */
static void put_nonzero_checksum(uint8_t *at, uint64_t sum)
{
    uint16_t checksum = (uint16_t)~fold(sum);
    put_sum(at, checksum ? checksum : 0xffff);
}

static uint64_t pseudo_sum(const uint8_t *ip, uint8_t protocol, size_t transport_bytes)
{
    uint8_t rest[8] = {0};
    put32(rest, (uint32_t)transport_bytes);
    rest[7] = protocol;
    bool is_ipv4 = version_of(ip) == 4;
    return sum_of(ip + (is_ipv4 ? 12 : 8), is_ipv4 ? 8 : 32) + sum_of(rest, sizeof rest);
}

/* Put the length of what follows into an IP header, and what else goes with it. */
static void put_ip_length(uint8_t *ip, size_t ip_bytes, size_t payload_bytes)
{
    if (version_of(ip) == 4) {
        put16(ip + 2, (uint32_t)(ip_bytes + payload_bytes));
        put16(ip + 10, 0);
        put_checksum(ip + 10, sum_of(ip, ip_bytes));
    } else {
        put16(ip + 4, (uint32_t)(ip_bytes - IPV6_BYTES + payload_bytes));
    }
}

static size_t tcp_bytes_of(const uint8_t *tcp) { return (size_t)(tcp[12] >> 4) * 4; }

/* -- An interface: a TUN with offloads -- */

/* What the kernel gave last, and how much of it has become packets. */
struct given {
    uint8_t *packet; /* PREFIX_BYTES before it are of the same memory */
    size_t bytes;    /* 0: there is none */
    size_t at;       /* where the next segment begins; 0: it is no super-packet */
    size_t ip_bytes, header_bytes, segment_bytes;
    uint32_t index;
    uint8_t protocol;
};

/* Packets that become one, or stay the one that they are. */
struct flow {
    uint8_t *packet; /* headers and all payloads so far; PREFIX_BYTES before it are of the same memory */
    size_t bytes;
    size_t ip_bytes, header_bytes, segment_bytes;
    uint32_t count;
    uint8_t protocol, channel;
    bool is_last; /* nothing may be merged behind it */
};

typedef struct {
    PyObject_HEAD
    int descriptor;
    bool merges_udp;
    bool is_covered; /* something is laid over it, and every packet is to go that way: Python's */
    uint8_t *memory; /* for `given` and all of `flows` */
    struct given given;
    uint64_t malformed; /* packets of the kernel's whose headers lied, that nobody has asked for yet */
    struct flow flows[MAX_FLOWS];
    size_t flow_count;
} Interface;

/* -- From the kernel: packets, and the segments of super-packets -- */

/* Whether the IP header of a super-packet is one, ends at `ip_bytes`, and leads to the protocol. */
static bool is_ip_right(const uint8_t *packet, size_t bytes, size_t ip_bytes, uint8_t protocol)
{
    if (version_of(packet) == 4)
        return ip_bytes >= IPV4_BYTES && ip_bytes <= bytes && (size_t)(packet[0] & 15) * 4 == ip_bytes &&
               packet[9] == protocol && !(get16(packet + 6) & FRAGMENT_MASK) && get16(packet + 2) == bytes;
    /* Behind extension headers there may be anything; the sender knows, and its partial checksum says it. */
    return ip_bytes >= IPV6_BYTES && ip_bytes <= bytes && (ip_bytes > IPV6_BYTES || packet[6] == protocol) &&
           IPV6_BYTES + (size_t)get16(packet + 4) == bytes;
}

/* Which protocol a super-packet is of; 0: none that is known. */
static uint8_t protocol_of(const struct vnet *vnet, uint8_t version)
{
    uint8_t type = vnet->gso_type & ~GSO_ECN;
    if (type == GSO_UDP_L4 && (version == 4 || version == 6))
        return vnet->csum_offset == 6 ? UDP : 0;
    if ((type == GSO_TCPV4 && version == 4) || (type == GSO_TCPV6 && version == 6))
        return vnet->csum_offset == 16 ? TCP : 0;
    return 0;
}

/* Find out how to take a super-packet apart. False: the headers lie. */
static bool plan_segments(struct given *given, const struct vnet *vnet)
{
    const uint8_t *packet = given->packet;
    size_t ip_bytes = vnet->csum_start, transport_bytes = UDP_BYTES;
    uint8_t protocol = protocol_of(vnet, version_of(packet));
    if (!vnet->gso_size || !(vnet->flags & NEEDS_CSUM) || !protocol ||
        !is_ip_right(packet, given->bytes, ip_bytes, protocol))
        return false;
    if (protocol == TCP) {
        if (ip_bytes + TCP_BYTES > given->bytes)
            return false;
        transport_bytes = tcp_bytes_of(packet + ip_bytes);
        if (transport_bytes < TCP_BYTES)
            return false;
    }
    size_t header_bytes = ip_bytes + transport_bytes;
    if (header_bytes > MAX_HEADERS || header_bytes >= given->bytes)
        return false;
    given->at = given->header_bytes = header_bytes;
    given->ip_bytes = ip_bytes;
    given->segment_bytes = vnet->gso_size;
    given->protocol = protocol;
    given->index = 0;
    return true;
}

/* Put the checksum of everything from csum_start on where the sum of the pseudo-header is. False: the headers lie. */
static bool complete_checksum(const struct given *given, const struct vnet *vnet)
{
    size_t start = vnet->csum_start, at = start + vnet->csum_offset;
    if (at + 2 > given->bytes)
        return false;
    put_nonzero_checksum(given->packet + at, sum_of(given->packet + start, given->bytes - start));
    return true;
}

/* Look at what was read. False: the headers lie. */
static bool open_given(struct given *given)
{
    struct vnet vnet;
    memcpy(&vnet, given->packet - VNET_BYTES, VNET_BYTES);
    given->at = 0;
    if (!given->bytes || given->packet[-PREFIX_BYTES] & TRUNCATED_FLAG)
        return false;
    if ((vnet.gso_type & ~GSO_ECN) != GSO_NONE)
        return plan_segments(given, &vnet);
    return !(vnet.flags & NEEDS_CSUM) || complete_checksum(given, &vnet);
}

enum taken { NONE_WAITS, HAVE_PACKET, WAS_MALFORMED };

/* Have a packet of the kernel's at hand; one that is malformed is counted, and gone. */
static enum taken take_given(Interface *self)
{
    struct given *given = &self->given;
    if (given->bytes)
        return HAVE_PACKET;
    ssize_t got;
    do
        got = read(self->descriptor, given->packet - PREFIX_BYTES, PREFIX_BYTES + MAX_PACKET);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return NONE_WAITS;
    given->bytes = got > PREFIX_BYTES ? (size_t)got - PREFIX_BYTES : 0;
    if (open_given(given))
        return HAVE_PACKET;
    given->bytes = 0;
    self->malformed++;
    return WAS_MALFORMED;
}

/* The length of the packet that comes next. */
static size_t next_bytes(const struct given *given)
{
    if (!given->at)
        return given->bytes;
    size_t left = given->bytes - given->at;
    return given->header_bytes + (left < given->segment_bytes ? left : given->segment_bytes);
}

/* Be done with the packet that came next. */
static void skip_packet(struct given *given)
{
    if (given->at) {
        given->at += next_bytes(given) - given->header_bytes;
        given->index++;
    }
    if (!given->at || given->at == given->bytes)
        given->bytes = 0;
}

/* Put together the headers of the next segment. */
static void build_headers(const struct given *given, uint8_t *ip)
{
    size_t payload_bytes = next_bytes(given) - given->header_bytes;
    size_t transport_bytes = given->header_bytes - given->ip_bytes + payload_bytes;
    uint8_t *transport = ip + given->ip_bytes;
    memcpy(ip, given->packet, given->header_bytes);
    if (version_of(ip) == 4)
        put16(ip + 4, get16(ip + 4) + given->index); /* identification */
    put_ip_length(ip, given->ip_bytes, transport_bytes);
    if (given->protocol == UDP) {
        put16(transport + 4, (uint32_t)transport_bytes);
    } else {
        put32(transport + 4, get32(transport + 4) + given->index * (uint32_t)given->segment_bytes);
        if (given->at + payload_bytes < given->bytes)
            transport[13] &= (uint8_t) ~(FIN | PSH); /* of the last segment */
        if (given->index)
            transport[13] &= (uint8_t)~CWR; /* of the first one: RFC 3168 section 6.1.2 */
    }
    /* Where the checksum will be is the sum of the pseudo-header, whose length is now another: RFC 1624. */
    uint8_t lengths[4];
    put16(lengths, ~(uint32_t)(given->bytes - given->ip_bytes));
    put16(lengths + 2, (uint32_t)transport_bytes);
    uint64_t sum = sum_of(lengths, 4) + sum_of(transport, given->header_bytes - given->ip_bytes) +
                   sum_of(given->packet + given->at, payload_bytes);
    if (given->protocol == UDP)
        put_nonzero_checksum(transport + 6, sum);
    else
        put_checksum(transport + 16, sum);
}

/* Write the next packet to `out`, where there is room for it. */
static void next_packet(struct given *given, uint8_t *out)
{
    if (given->at) {
        uint8_t headers[MAX_HEADERS];
        build_headers(given, headers);
        memcpy(out, headers, given->header_bytes);
        memcpy(out + given->header_bytes, given->packet + given->at, next_bytes(given) - given->header_bytes);
    } else {
        memcpy(out, given->packet, given->bytes);
    }
    skip_packet(given);
}

/* -- To the kernel: packets, and flows that become super-packets -- */

/* What became of packets, by channel: an array of Python's; and, a bit for each, which channels those were. */
struct tally {
    uint64_t packets[CHANNELS], bytes[CHANNELS], refused[CHANNELS], touched;
};

static void count(struct tally *tally, uint8_t channel, bool is_taken, uint64_t packets, uint64_t bytes)
{
    tally->touched |= 1u << channel;
    if (is_taken) {
        tally->packets[channel] += packets;
        tally->bytes[channel] += bytes;
    } else {
        tally->refused[channel] += packets;
    }
}

/* A TUN takes a packet whole or not at all. PREFIX_BYTES before it are overwritten. */
static bool write_packet(const Interface *self, uint8_t *packet, size_t bytes, const struct vnet *vnet)
{
    uint8_t version = version_of(packet), *prefix = packet - PREFIX_BYTES;
    put16(prefix, 0);
    put16(prefix + 2, version == 4 ? 0x0800 : version == 6 ? 0x86dd : 0x00f9); /* netdevice.py */
    memcpy(packet - VNET_BYTES, vnet, VNET_BYTES);
    ssize_t done;
    do
        done = write(self->descriptor, prefix, PREFIX_BYTES + bytes);
    while (done < 0 && errno == EINTR);
    return done >= 0;
}

static void write_alone(const Interface *self, uint8_t *packet, size_t bytes, uint8_t channel, struct tally *tally)
{
    count(tally, channel, write_packet(self, packet, bytes, &NO_OFFLOAD), 1, bytes);
}

/* Make a super-packet of merged ones, with the sum of the pseudo-header where the checksum will be. */
static struct vnet close_super_packet(struct flow *flow)
{
    uint8_t *ip = flow->packet, *transport = ip + flow->ip_bytes;
    size_t transport_bytes = flow->bytes - flow->ip_bytes;
    bool is_tcp = flow->protocol == TCP, is_ipv4 = version_of(ip) == 4;
    put_ip_length(ip, flow->ip_bytes, transport_bytes);
    if (!is_tcp)
        put16(transport + 4, (uint32_t)transport_bytes);
    uint16_t checksum_at = is_tcp ? 16 : 6;
    put_sum(transport + checksum_at, fold(pseudo_sum(ip, flow->protocol, transport_bytes)));
    return (struct vnet){
        .flags = NEEDS_CSUM,
        .gso_type = !is_tcp ? GSO_UDP_L4 : is_ipv4 ? GSO_TCPV4 : GSO_TCPV6,
        .hdr_len = (uint16_t)flow->header_bytes,
        .gso_size = (uint16_t)flow->segment_bytes,
        .csum_start = (uint16_t)flow->ip_bytes,
        .csum_offset = checksum_at,
    };
}

/* Write what a flow has become, and forget it. */
static void end_flow(Interface *self, size_t index, struct tally *tally)
{
    struct flow ended = self->flows[index];
    uint64_t bytes = ended.bytes + (uint64_t)(ended.count - 1) * ended.header_bytes; /* as they came */
    struct vnet vnet = ended.count > 1 ? close_super_packet(&ended) : NO_OFFLOAD;
    count(tally, ended.channel, write_packet(self, ended.packet, ended.bytes, &vnet), ended.count, bytes);
    self->flow_count--;
    memmove(&self->flows[index], &self->flows[index + 1], (self->flow_count - index) * sizeof ended);
    self->flows[self->flow_count] = ended; /* its memory serves another */
}

static void end_flows(Interface *self, struct tally *tally)
{
    while (self->flow_count)
        end_flow(self, 0, tally);
}

/* What there is to know of a packet of TCP or UDP. */
struct headers {
    size_t ip_bytes, header_bytes;
    uint8_t protocol;
    bool may_merge; /* in order, with a payload, and with nothing that must stay as it is */
    bool is_last;   /* nothing may be merged behind it */
};

/* False: it is no IP, or none whose payload could be told. `may_merge`: as far as IP goes. */
static bool read_ip(const uint8_t *packet, size_t bytes, struct headers *headers)
{
    if (version_of(packet) == 4 && bytes >= IPV4_BYTES && (packet[0] & 15) == 5) {
        headers->ip_bytes = IPV4_BYTES;
        headers->protocol = packet[9];
        headers->may_merge = get16(packet + 2) == bytes && fold(sum_of(packet, IPV4_BYTES)) == 0xffff;
        return !(get16(packet + 6) & FRAGMENT_MASK);
    }
    if (version_of(packet) == 6 && bytes >= IPV6_BYTES) {
        headers->ip_bytes = IPV6_BYTES;
        headers->protocol = packet[6];
        headers->may_merge = IPV6_BYTES + (size_t)get16(packet + 4) == bytes;
        return true;
    }
    return false;
}

/* Read the headers of a packet. False: it belongs to no flow that we could tell. */
static bool read_headers(const uint8_t *packet, size_t bytes, bool merges_udp, struct headers *headers)
{
    if (!read_ip(packet, bytes, headers))
        return false;
    const uint8_t *transport = packet + headers->ip_bytes;
    size_t room = bytes - headers->ip_bytes, transport_bytes;
    if (headers->protocol == TCP && room >= TCP_BYTES) {
        transport_bytes = tcp_bytes_of(transport);
        if (transport_bytes < TCP_BYTES || transport_bytes > room)
            return false;
        headers->may_merge &= (transport[13] & (ACK | SYN | RST | URG | CWR)) == ACK;
        headers->is_last = transport[13] & (FIN | PSH);
    } else if (headers->protocol == UDP && room >= UDP_BYTES) {
        transport_bytes = UDP_BYTES;
        headers->may_merge &= merges_udp && get16(transport + 6) && get16(transport + 4) == room;
        headers->is_last = false;
    } else {
        return false;
    }
    headers->header_bytes = headers->ip_bytes + transport_bytes;
    headers->may_merge &= room > transport_bytes;
    /* The kernel will not look at the checksum of a super-packet: a wrong one must not get in. */
    if (headers->may_merge)
        headers->may_merge = fold(pseudo_sum(packet, headers->protocol, room) + sum_of(transport, room)) == 0xffff;
    return true;
}

/* Whether a packet has the addresses and ports of a flow. */
static bool is_of(const struct flow *flow, const uint8_t *packet, const struct headers *headers)
{
    size_t ip_bytes = headers->ip_bytes, addresses_at = ip_bytes == IPV4_BYTES ? 12 : 8;
    return flow->ip_bytes == ip_bytes && flow->protocol == headers->protocol &&
           !memcmp(flow->packet + addresses_at, packet + addresses_at, ip_bytes - addresses_at) &&
           !memcmp(flow->packet + ip_bytes, packet + ip_bytes, 4);
}

static bool is_same_ip(const struct flow *flow, const uint8_t *packet)
{
    const uint8_t *ours = flow->packet;
    if (version_of(packet) == 6) /* traffic class, flow label; hop limit */
        return !memcmp(ours, packet, 4) && ours[7] == packet[7];
    return ours[1] == packet[1] &&                                         /* type of service */
           !memcmp(ours + 6, packet + 6, 2) &&                             /* don't fragment */
           ours[8] == packet[8] &&                                         /* time to live */
           (uint16_t)(get16(ours + 4) + flow->count) == get16(packet + 4); /* identification */
}

static bool is_next_of_tcp(const struct flow *flow, const uint8_t *packet)
{
    const uint8_t *ours = flow->packet + flow->ip_bytes, *theirs = packet + flow->ip_bytes;
    uint32_t payload_bytes = (uint32_t)(flow->bytes - flow->header_bytes);
    return get32(ours + 4) + payload_bytes == get32(theirs + 4) &&
           !memcmp(ours + 8, theirs + 8, 5) && /* acknowledgment, length of the header */
           ours[13] == (theirs[13] & ~(FIN | PSH)) &&
           !memcmp(ours + 14, theirs + 14, 2) && /* window */
           !memcmp(ours + 18, theirs + 18, flow->header_bytes - flow->ip_bytes - 18); /* options */
}

/* Whether a packet of a flow is what would come next, were the flow taken apart again. */
static bool is_continued_by(const struct flow *flow, const uint8_t *packet, size_t bytes, const struct headers *headers)
{
    if (!headers->may_merge || headers->header_bytes != flow->header_bytes)
        return false;
    size_t payload_bytes = bytes - headers->header_bytes;
    return payload_bytes <= flow->segment_bytes && flow->bytes + payload_bytes <= MAX_PACKET &&
           is_same_ip(flow, packet) &&
           (flow->protocol == TCP ? is_next_of_tcp(flow, packet) : flow->count < MAX_UDP_SEGMENTS);
}

static void append(struct flow *flow, const uint8_t *packet, size_t bytes, const struct headers *headers)
{
    size_t payload_bytes = bytes - headers->header_bytes;
    memcpy(flow->packet + flow->bytes, packet + headers->header_bytes, payload_bytes);
    flow->bytes += payload_bytes;
    flow->count++;
    if (flow->protocol == TCP)
        flow->packet[flow->ip_bytes + 13] |= packet[flow->ip_bytes + 13];
    flow->is_last = headers->is_last || payload_bytes < flow->segment_bytes;
}

static void begin_flow(Interface *self, const uint8_t *packet, size_t bytes, const struct headers *headers,
                       uint8_t channel)
{
    struct flow *flow = &self->flows[self->flow_count++];
    memcpy(flow->packet, packet, bytes);
    flow->bytes = bytes;
    flow->ip_bytes = headers->ip_bytes;
    flow->header_bytes = headers->header_bytes;
    flow->segment_bytes = bytes - headers->header_bytes;
    flow->count = 1;
    flow->protocol = headers->protocol;
    flow->channel = channel;
    flow->is_last = false;
}

/* Hand a packet to the kernel, now or as a part of what comes after it. PREFIX_BYTES before it are overwritten. */
static void deliver(Interface *self, uint8_t *packet, size_t bytes, uint8_t channel, struct tally *tally)
{
    struct headers headers;
    if (!read_headers(packet, bytes, self->merges_udp, &headers)) {
        end_flows(self, tally); /* it may belong to any of them: a fragment, say */
        write_alone(self, packet, bytes, channel, tally);
        return;
    }
    size_t index = 0;
    while (index < self->flow_count && !is_of(&self->flows[index], packet, &headers))
        index++;
    if (index < self->flow_count) {
        struct flow *flow = &self->flows[index];
        if (flow->channel == channel && is_continued_by(flow, packet, bytes, &headers)) {
            append(flow, packet, bytes, &headers);
            if (flow->is_last)
                end_flow(self, index, tally);
            return;
        }
        end_flow(self, index, tally);
    }
    if (!headers.may_merge || headers.is_last) {
        write_alone(self, packet, bytes, channel, tally);
        return;
    }
    if (self->flow_count == MAX_FLOWS)
        end_flow(self, 0, tally);
    begin_flow(self, packet, bytes, &headers, channel);
}

/* -- Rings: bam/pipe.py -- */

/* Where a pipe lies in memory. */
struct pipe {
    uint8_t *memory;
    uint32_t fifo, entries, buffers, stride, slot_bytes, slots, tail_word, position_word;
    const uint32_t *awake_word; /* of the other side's, as long as it is another process; else NULL */
};

struct descriptor {
    uint32_t address, size;
};

static uint64_t *descriptor_at(const struct pipe *pipe, uint32_t entry)
{
    return (uint64_t *)(pipe->memory + pipe->fifo + entry * DESCRIPTOR_BYTES);
}

/* A descriptor as it is at this moment; whole, though the peer may be writing it. */
static struct descriptor load_descriptor(const struct pipe *pipe, uint32_t entry)
{
    uint64_t value = __atomic_load_n(descriptor_at(pipe, entry), __ATOMIC_RELAXED);
    return (struct descriptor){(uint32_t)value, (uint32_t)(value >> 32) & 0xffff};
}

static void store_descriptor(const struct pipe *pipe, uint32_t entry, uint32_t slot, uint32_t size)
{
    uint64_t address = pipe->buffers + slot * pipe->stride;
    uint64_t value = address | (uint64_t)size << 32 | (uint64_t)FLAG_EOT << 48;
    __atomic_store_n(descriptor_at(pipe, entry), value, __ATOMIC_RELAXED);
}

/* Say how much was written to a buffer. The address stays what the owner wrote: its half is not ours. */
static void write_back(const struct pipe *pipe, uint32_t entry, uint32_t size)
{
    uint32_t *half = (uint32_t *)descriptor_at(pipe, entry) + 1;
    __atomic_store_n(half, size | (uint32_t)FLAG_EOT << 16, __ATOMIC_RELAXED);
}

static uint8_t *slot_at(const struct pipe *pipe, uint32_t slot)
{
    return pipe->memory + pipe->buffers + slot * pipe->stride;
}

/* Whether a descriptor points to where buffers lie. */
static bool is_buffer(const struct pipe *pipe, struct descriptor descriptor)
{
    return descriptor.address >= pipe->buffers &&
           (uint64_t)descriptor.address + descriptor.size <= pipe->buffers + (uint64_t)pipe->slots * pipe->stride;
}

static uint32_t *word_at(const struct pipe *pipe, uint32_t offset) { return (uint32_t *)(pipe->memory + offset); }

/* Tell the other side how far we are, and that all we wrote before is there. */
static void publish(const struct pipe *pipe, uint32_t offset, uint32_t generation, uint32_t entry)
{
    __atomic_store_n(word_at(pipe, offset), generation << 16 | entry * DESCRIPTOR_BYTES, __ATOMIC_RELEASE);
}

/* How many entries lie between `since` and where the other side is; 0 also if that is where it cannot be. */
static uint32_t entries_since(const struct pipe *pipe, uint32_t offset, uint32_t generation, uint32_t since,
                              uint32_t most)
{
    uint32_t word = __atomic_load_n(word_at(pipe, offset), __ATOMIC_ACQUIRE);
    uint32_t entry = (word & 0xffff) / DESCRIPTOR_BYTES;
    if (word >> 16 != generation || word % DESCRIPTOR_BYTES || entry >= pipe->entries)
        return 0;
    uint32_t count = entry >= since ? entry - since : entry + pipe->entries - since;
    return count <= most ? count : 0;
}

/* Whether the owner has reset the pipe. If not, what was read before is of this generation. */
static bool was_reset(const struct pipe *pipe, uint32_t generation)
{
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(word_at(pipe, pipe->tail_word), __ATOMIC_ACQUIRE) >> 16 != generation;
}

static uint32_t next_of(uint32_t index, uint32_t size) { return index + 1 == size ? 0 : index + 1; }

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Until when this process does not wait awake: more want to run than there are processors. Who yields then stays behind
 * all others, and waits a slice of theirs for each turn; who sleeps and is woken comes first. */
static uint64_t crowded_until;

static bool is_crowded(uint64_t now) { return now < __atomic_load_n(&crowded_until, __ATOMIC_RELAXED); }

/* Let whoever else wants the processor have it; the time afterwards. */
static uint64_t give_way(uint64_t now)
{
    sched_yield();
    uint64_t later = clock_ns();
    if (later - now > CROWDED_NS)
        __atomic_store_n(&crowded_until, later + CROWDED_FOR_NS, __ATOMIC_RELAXED);
    return later;
}

/* Whether the other side is another process, and says that it is awake. */
static bool is_awake(const struct pipe *pipe)
{
    return pipe->awake_word && __atomic_load_n(pipe->awake_word, __ATOMIC_RELAXED) == AWAKE;
}

/* Wait until the other side has moved on by `enough` entries, while it is awake and not for long; see `entries_since`.
 * Meanwhile whoever else wants the processor may have it. */
static uint32_t await_entries(const struct pipe *pipe, uint32_t offset, uint32_t generation, uint32_t since,
                              uint32_t most, uint32_t enough)
{
    uint64_t now = clock_ns(), until = now + PATIENCE_NS;
    for (;;) {
        if (!is_awake(pipe))
            return 0;
        uint32_t count = entries_since(pipe, offset, generation, since, most);
        if (count >= enough || is_crowded(now) || now >= until)
            return count;
        now = give_way(now);
    }
}

static uint64_t header_word(uint32_t channel, size_t bytes, uint32_t pad)
{
    return MAGIC | (uint64_t)pad << 32 | (uint64_t)channel << 40 | (uint64_t)bytes << 48;
}

/* The length and the channel of the packet in a frame that is DATA in order, else no length: classify(). */
static uint32_t read_header(const uint8_t *frame, uint32_t transfer_bytes, uint32_t max_packet, uint8_t *channel)
{
    uint64_t word;
    memcpy(&word, frame, HEADER_BYTES);
    *channel = (uint8_t)(word >> 40 & (CHANNELS - 1));
    if ((word & DATA_MASK) != MAGIC)
        return 0;
    uint32_t room = transfer_bytes - HEADER_BYTES, length = (uint32_t)(word >> 48);
    if (length == 0xffff) /* LENGTH_FROM_TRANSFER */
        length = room;
    return length <= max_packet && length <= room ? length : 0;
}

/* -- The four ways -- */

/* How many slots the next packet wants, with all that comes of its super-packet; if nothing is known of it, half of
 * them. */
static uint32_t slots_wanted(const struct given *given, uint32_t slots)
{
    if (!given->bytes)
        return slots / 2;
    size_t wanted = given->at ? (given->bytes - given->at - 1) / given->segment_bytes + 1 : 1;
    return wanted < slots ? (uint32_t)wanted : slots;
}

/* Whether to stop before the next packet. A super-packet that was begun goes on, whatever the budget says; one that was
 * not waits for more space, and stays whole, but when there will be no more. */
static bool stops_at(const struct given *given, bool may_cut, uint32_t budget, uint32_t space, uint32_t slots)
{
    if (given->at && given->index)
        return false;
    return !budget || (slots_wanted(given, slots) > space && !may_cut);
}

struct filled {
    uint32_t packets, too_long;
    uint64_t bytes;
    bool is_dry; /* the interface has no more */
};

/* TransmitRing.fill_from: packets into slots from `index` on. What does not fit costs budget too, so that a flood of it
 * cannot hold us. */
static struct filled fill_from(Interface *self, const struct pipe *pipe, uint32_t index, uint32_t space, uint32_t budget,
                               uint32_t channel, uint32_t max_packet, uint32_t *packet_bytes, uint32_t *frame_bytes)
{
    struct filled filled = {0};
    while (space && (budget || self->given.bytes)) {
        enum taken taken = take_given(self);
        filled.is_dry = taken == NONE_WAITS;
        if (filled.is_dry)
            break;
        if (taken == HAVE_PACKET && stops_at(&self->given, false, budget, space, pipe->slots))
            break;
        budget -= budget > 0;
        if (taken == WAS_MALFORMED)
            continue;
        uint32_t bytes = (uint32_t)next_bytes(&self->given);
        if (bytes > max_packet) {
            skip_packet(&self->given);
            filled.too_long++;
            continue;
        }
        uint32_t pad = WORD_BYTES - bytes % WORD_BYTES;
        uint64_t word = header_word(channel, bytes, pad);
        uint8_t *slot = slot_at(pipe, index);
        memcpy(slot, &word, HEADER_BYTES);
        next_packet(&self->given, slot + HEADER_BYTES);
        memset(slot + HEADER_BYTES + bytes, 0, WORD_BYTES);
        packet_bytes[index] = bytes;
        frame_bytes[index] = HEADER_BYTES + bytes + pad;
        index = next_of(index, pipe->slots);
        space--;
        filled.packets++;
        filled.bytes += bytes;
    }
    return filled;
}

/* What a PipeOwner remembers of each entry that it has queued. */
struct queued {
    uint16_t *slots, *sizes;
};

/* PipeOwner.submit */
static void queue_slot(const struct pipe *pipe, struct queued queued, uint32_t entry, uint32_t slot, uint32_t size)
{
    store_descriptor(pipe, entry, slot, size);
    queued.slots[entry] = (uint16_t)slot;
    queued.sizes[entry] = (uint16_t)size;
}

/* Where the owner of a pipe stands. */
struct owned {
    uint32_t head, tail, in_flight, generation;
};

struct sent {
    struct filled filled;
    uint32_t retired;
};

/* TransmitRing.fill_from, PipeOwner.submit, publish and retire: packets into slots from `index` on, straight to the
 * modem, and again into those that come back. */
static struct sent send_from(Interface *self, const struct pipe *pipe, struct queued queued, struct owned at,
                             uint32_t index, uint32_t space, uint32_t budget, uint32_t channel, uint32_t max_packet,
                             uint32_t *packet_bytes, uint32_t *frame_bytes)
{
    struct sent sent = {0};
    for (;;) {
        struct filled turn =
            fill_from(self, pipe, index, space, budget, channel, max_packet, packet_bytes, frame_bytes);
        for (uint32_t left = turn.packets; left; left--) {
            queue_slot(pipe, queued, at.tail, index, frame_bytes[index]);
            at.tail = next_of(at.tail, pipe->entries);
            index = next_of(index, pipe->slots);
        }
        if (turn.packets)
            publish(pipe, pipe->tail_word, at.generation, at.tail);
        sent.filled.packets += turn.packets;
        sent.filled.too_long += turn.too_long;
        sent.filled.bytes += turn.bytes;
        at.in_flight += turn.packets;
        space -= turn.packets;
        uint32_t spent = turn.packets + turn.too_long;
        budget -= spent < budget ? spent : budget;
        uint32_t wanted = slots_wanted(&self->given, pipe->slots);
        if (!pipe->awake_word || turn.is_dry || !budget || wanted <= space)
            return sent;
        uint32_t back = await_entries(pipe, pipe->position_word, at.generation, at.head, at.in_flight, wanted - space);
        at.head = (at.head + back) % pipe->entries;
        at.in_flight -= back;
        space += back;
        sent.retired += back;
        if (wanted > space)
            return sent;
    }
}

/* ReceiveRing.drain_to: frames to the interfaces of their channels, each buffer queued again at once, and published
 * before the last frame is delivered. */
static uint32_t drain_turn(Interface **devices, const struct pipe *pipe, struct owned at, uint32_t count,
                           struct queued queued, struct tally *tally)
{
    uint8_t copy[PREFIX_BYTES + MAX_TRANSFER], *frame = copy + PREFIX_BYTES, channel;
    uint32_t done = 0;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    for (; done < count; done++) {
        uint32_t slot = queued.slots[at.head], size = queued.sizes[at.head], written = load_descriptor(pipe, at.head).size;
        if (slot >= pipe->slots || size > pipe->slot_bytes || written > size || written < HEADER_BYTES)
            break;
        memcpy(frame, slot_at(pipe, slot), written);
        uint32_t bytes = read_header(frame, written, pipe->slot_bytes - HEADER_BYTES, &channel);
        if (!bytes || !devices[channel])
            break;
        queue_slot(pipe, queued, at.tail, slot, pipe->slot_bytes);
        at.head = next_of(at.head, pipe->entries);
        at.tail = next_of(at.tail, pipe->entries);
        if (pipe->awake_word && done + 1 == count)
            publish(pipe, pipe->tail_word, at.generation, at.tail);
        deliver(devices[channel], frame + HEADER_BYTES, bytes, channel, tally);
    }
    for (int each = 0; each < CHANNELS; each++)
        if (devices[each])
            end_flows(devices[each], tally);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return done;
}

/* Whether to wait for the next turn: all was taken, and it was half of the ring, for which the other side may wait, or
 * so many frames that more are to be expected. */
static bool goes_on(const struct pipe *pipe, uint32_t done, uint32_t count, uint32_t total)
{
    bool were_many = done >= pipe->slots / 2 || done >= MANY;
    return pipe->awake_word && done == count && were_many && total < TURNS_BUDGET;
}

static uint32_t drain_to(Interface **devices, const struct pipe *pipe, struct owned at, uint32_t count,
                         struct queued queued, struct tally *tally)
{
    uint32_t total = 0;
    while (count) {
        uint32_t done = drain_turn(devices, pipe, at, count, queued, tally);
        total += done;
        if (!goes_on(pipe, done, count, total))
            break;
        at.head = (at.head + done) % pipe->entries;
        at.tail = (at.tail + done) % pipe->entries;
        count = await_entries(pipe, pipe->position_word, at.generation, at.head, at.in_flight, 1);
    }
    return total;
}

/* A bearer as numbers, in the order of bytes of this machine: Bearer of modem/network.py, one for each channel. */
struct bearer {
    uint64_t prefix6;
    uint32_t address4, limit4, limit6, is_open;
};

/* Whether the network takes a packet from a bearer without further ado: check_uplink(). Solicitations and link-local
 * sources are for Python. */
static bool passes(const struct bearer *bearer, const uint8_t *packet, uint32_t bytes)
{
    if (!bearer->is_open)
        return false;
    if (version_of(packet) == 4)
        return bytes >= IPV4_BYTES && bytes <= bearer->limit4 && get32(packet + 12) == bearer->address4;
    return version_of(packet) == 6 && bytes >= IPV6_BYTES && bytes <= bearer->limit6 && packet[6] != ICMPV6 &&
           get64(packet + 8) == bearer->prefix6;
}

/* Uplink.drain_to: frames of the host to the network; given back before the last one is delivered. */
static uint32_t take_turn(Interface *network, const struct pipe *pipe, uint32_t position, uint32_t count,
                          uint32_t generation, uint32_t max_packet, const struct bearer *bearers, struct tally *tally)
{
    uint8_t copy[PREFIX_BYTES + MAX_TRANSFER], *frame = copy + PREFIX_BYTES, channel;
    uint32_t done = 0;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    for (; done < count; done++) {
        struct descriptor descriptor = load_descriptor(pipe, position);
        if (!is_buffer(pipe, descriptor) || descriptor.size < HEADER_BYTES)
            break;
        memcpy(frame, pipe->memory + descriptor.address, descriptor.size);
        if (was_reset(pipe, generation))
            break; /* what we hold may be half of another frame */
        uint32_t bytes = read_header(frame, descriptor.size, max_packet, &channel);
        if (!bytes || !passes(&bearers[channel], frame + HEADER_BYTES, bytes))
            break;
        position = next_of(position, pipe->entries);
        if (pipe->awake_word && done + 1 == count)
            publish(pipe, pipe->position_word, generation, position);
        deliver(network, frame + HEADER_BYTES, bytes, channel, tally);
    }
    end_flows(network, tally);
    return done;
}

static uint32_t take_from(Interface *network, const struct pipe *pipe, uint32_t position, uint32_t count,
                          uint32_t generation, uint32_t max_packet, const struct bearer *bearers, struct tally *tally)
{
    uint32_t total = 0;
    while (count) {
        uint32_t done = take_turn(network, pipe, position, count, generation, max_packet, bearers, tally);
        total += done;
        if (!goes_on(pipe, done, count, total))
            break;
        position = (position + done) % pipe->entries;
        count = await_entries(pipe, pipe->tail_word, generation, position, pipe->entries, 1);
    }
    return total;
}

/* Whose packet of the network's this is; CHANNELS: nobody's who would take it now. */
static uint8_t find_bearer(const struct bearer *bearers, const uint8_t *packet, size_t bytes)
{
    bool is_ipv4 = version_of(packet) == 4;
    if (is_ipv4 ? bytes < IPV4_BYTES : version_of(packet) != 6 || bytes < IPV6_BYTES)
        return CHANNELS;
    for (uint8_t channel = 0; channel < CHANNELS; channel++) {
        const struct bearer *bearer = &bearers[channel];
        uint32_t limit = is_ipv4 ? bearer->limit4 : bearer->limit6;
        bool is_its = is_ipv4 ? bearer->address4 == get32(packet + 16) : bearer->prefix6 == get64(packet + 24);
        if (limit && is_its)
            return bearer->is_open && bytes <= limit ? channel : CHANNELS;
    }
    return CHANNELS;
}

/* Downlink.fill_from: packets of the network to buffers of the host. `is_stuck`: more buffers would change nothing. */
static uint32_t fill_buffers_turn(Interface *network, const struct pipe *pipe, uint32_t position, uint32_t space,
                                  bool may_cut, uint32_t budget, uint32_t generation, const struct bearer *bearers,
                                  struct tally *tally, bool *is_stuck)
{
    struct given *given = &network->given;
    uint32_t done = 0;
    *is_stuck = true;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    while (done < space && (budget || given->bytes)) {
        enum taken taken = take_given(network);
        if (taken == NONE_WAITS)
            return done;
        if (taken == HAVE_PACKET && stops_at(given, may_cut && !done, budget, space - done, pipe->slots))
            break;
        budget -= budget > 0; /* for one that is malformed too, so that a flood of them cannot hold us */
        if (taken == WAS_MALFORMED)
            continue;
        size_t bytes = next_bytes(given);
        uint8_t channel = find_bearer(bearers, given->packet, bytes);
        struct descriptor descriptor = load_descriptor(pipe, position);
        if (channel == CHANNELS || !is_buffer(pipe, descriptor) || HEADER_BYTES + bytes > descriptor.size ||
            was_reset(pipe, generation))
            return done;
        uint64_t word = header_word(channel, bytes, 0); /* firmware does not pad */
        uint8_t *buffer = pipe->memory + descriptor.address;
        memcpy(buffer, &word, HEADER_BYTES);
        next_packet(given, buffer + HEADER_BYTES);
        bool is_sent = !was_reset(pipe, generation); /* else it was lost in flight */
        count(tally, channel, is_sent, 1, bytes);
        if (!is_sent)
            return done;
        write_back(pipe, position, (uint32_t)(HEADER_BYTES + bytes));
        position = next_of(position, pipe->entries);
        done++;
    }
    *is_stuck = false;
    return done;
}

static uint32_t fill_buffers_from(Interface *network, const struct pipe *pipe, uint32_t position, uint32_t space,
                                  uint32_t budget, uint32_t generation, const struct bearer *bearers,
                                  struct tally *tally)
{
    uint32_t total = 0;
    bool may_cut = !is_awake(pipe), is_stuck;
    for (;;) {
        uint32_t done =
            fill_buffers_turn(network, pipe, position, space, may_cut, budget, generation, bearers, tally, &is_stuck);
        __atomic_thread_fence(__ATOMIC_RELEASE);
        total += done;
        space -= done;
        budget -= done < budget ? done : budget;
        uint32_t wanted = slots_wanted(&network->given, pipe->slots);
        if (!pipe->awake_word || is_stuck || !budget || wanted <= space)
            return total;
        position = (position + done) % pipe->entries;
        publish(pipe, pipe->position_word, generation, position);
        space = await_entries(pipe, pipe->tail_word, generation, position, pipe->entries, wanted);
        if (space < wanted && (total || !space || may_cut))
            return total;
        may_cut = space < wanted; /* there may never be more, and we have sent nothing yet */
    }
}

/* -- Python -- */

static PyTypeObject *interface_type, *pipe_type;

/* Check what Python says. False: it is a bug there, and an exception here. */
static bool is_true(bool condition, const char *otherwise)
{
    if (!condition)
        PyErr_SetString(PyExc_ValueError, otherwise);
    return condition;
}

/* Whether memory of Python's holds `count` things of a size. */
static bool holds(const Py_buffer *view, size_t count, size_t size)
{
    return (size_t)view->len >= count * size && (uintptr_t)view->buf % (size < 8 ? size : 8) == 0;
}

static void release(Py_buffer *views, int count)
{
    for (int each = 0; each < count; each++)
        if (views[each].obj)
            PyBuffer_Release(&views[each]);
}

/* One end of a pipe, and what its owner remembers. */
typedef struct {
    PyObject_HEAD
    struct pipe pipe;
    struct queued queued; /* no arrays: this is the peer's end */
    Py_buffer views[3], awake_view;
} Pipe;

static bool is_right_place(const struct pipe *pipe, const Py_buffer *memory)
{
    uint64_t bytes = (uint64_t)memory->len;
    bool is_aligned = (uintptr_t)memory->buf % 8 == 0 && pipe->fifo % 8 == 0 && pipe->tail_word % 4 == 0 &&
                      pipe->position_word % 4 == 0;
    bool is_sized = pipe->entries >= 2 && pipe->entries <= MAX_ENTRIES && pipe->slots >= 1 &&
                    pipe->slots < pipe->entries && pipe->slot_bytes >= HEADER_BYTES &&
                    pipe->slot_bytes <= MAX_TRANSFER && pipe->slot_bytes <= pipe->stride;
    bool is_inside = (uint64_t)pipe->fifo + (uint64_t)pipe->entries * DESCRIPTOR_BYTES <= pipe->buffers &&
                     pipe->buffers + (uint64_t)pipe->slots * pipe->stride <= bytes && bytes <= UINT32_MAX &&
                     (uint64_t)pipe->tail_word + 4 <= bytes && (uint64_t)pipe->position_word + 4 <= bytes;
    return is_aligned && is_sized && is_inside;
}

static PyObject *pipe_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    enum { MEMORY, SLOTS, SIZES, VIEWS };
    static char *names[] = {"memory", "place", "slots_of", "sizes_of", NULL};
    Py_buffer views[VIEWS] = {0};
    struct pipe pipe = {0};
    Pipe *self = NULL;
    if (PyArg_ParseTupleAndKeywords(arguments, keywords, "w*(IIIIIIII)|w*w*", names, &views[MEMORY], &pipe.fifo,
                                    &pipe.entries, &pipe.buffers, &pipe.stride, &pipe.slot_bytes, &pipe.slots,
                                    &pipe.tail_word, &pipe.position_word, &views[SLOTS], &views[SIZES]) &&
        is_true(is_right_place(&pipe, &views[MEMORY]), "a pipe does not lie in its memory") &&
        is_true((!views[SLOTS].obj && !views[SIZES].obj) || (holds(&views[SLOTS], pipe.entries, sizeof(uint16_t)) &&
                                                             holds(&views[SIZES], pipe.entries, sizeof(uint16_t))),
                "the arrays have not one number for each entry"))
        self = (Pipe *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (!self) {
        release(views, VIEWS);
        return NULL;
    }
    self->pipe = pipe;
    self->pipe.memory = views[MEMORY].buf;
    self->queued = (struct queued){views[SLOTS].buf, views[SIZES].buf};
    memcpy(self->views, views, sizeof views);
    return (PyObject *)self;
}

static void pipe_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    release(((Pipe *)object)->views, 3);
    release(&((Pipe *)object)->awake_view, 1);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(object);
    Py_DECREF(type);
}

static PyObject *interface_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords)
{
    static char *names[] = {"descriptor", "merges_udp", NULL};
    int descriptor, merges_udp = 0;
    if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "i|p", names, &descriptor, &merges_udp))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Interface *self = (Interface *)allocate(type, 0);
    if (!self)
        return NULL;
    self->descriptor = descriptor;
    self->merges_udp = merges_udp;
    /* Pages that no packet has touched cost nothing. */
    self->memory = malloc((1 + MAX_FLOWS) * (size_t)(PREFIX_BYTES + MAX_PACKET));
    if (!self->memory) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    self->given.packet = self->memory + PREFIX_BYTES;
    for (int each = 0; each < MAX_FLOWS; each++)
        self->flows[each].packet = self->memory + (1 + each) * (PREFIX_BYTES + MAX_PACKET) + PREFIX_BYTES;
    return (PyObject *)self;
}

static void interface_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release_object = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free(((Interface *)object)->memory);
    release_object(object);
    Py_DECREF(type);
}

static PyObject *read_into(PyObject *object, PyObject *argument)
{
    struct given *given = &((Interface *)object)->given;
    Py_buffer buffer;
    if (PyObject_GetBuffer(argument, &buffer, PyBUF_WRITABLE))
        return NULL;
    enum taken taken;
    do
        taken = take_given((Interface *)object);
    while (taken == WAS_MALFORMED);
    size_t used = 0;
    if (taken == HAVE_PACKET && buffer.len < PI_BYTES) {
        skip_packet(given); /* as a TUN: EINVAL, and the packet is gone */
    } else if (taken == HAVE_PACKET) {
        uint8_t *out = buffer.buf, whole[MAX_PACKET];
        size_t bytes = next_bytes(given), room = (size_t)buffer.len - PI_BYTES;
        bool is_cut = bytes > room;
        memcpy(out, given->packet - PREFIX_BYTES, PI_BYTES);
        next_packet(given, is_cut ? whole : out + PI_BYTES);
        if (is_cut) {
            out[0] = TRUNCATED_FLAG;
            memcpy(out + PI_BYTES, whole, room);
        }
        used = PI_BYTES + (is_cut ? room : bytes);
    }
    PyBuffer_Release(&buffer);
    return PyLong_FromSize_t(used);
}

static PyObject *write_one(PyObject *object, PyObject *argument)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(argument, &buffer, PyBUF_SIMPLE))
        return NULL;
    ssize_t done = -1;
    if (buffer.len > PI_BYTES) {
        struct iovec parts[] = {
            {buffer.buf, PI_BYTES},
            {(void *)&NO_OFFLOAD, VNET_BYTES},
            {(uint8_t *)buffer.buf + PI_BYTES, (size_t)buffer.len - PI_BYTES},
        };
        do
            done = writev(((Interface *)object)->descriptor, parts, 3);
        while (done < 0 && errno == EINTR);
    }
    PyBuffer_Release(&buffer);
    return PyBool_FromLong(done >= 0);
}

static PyObject *has_packet(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Interface *)object)->given.bytes > 0);
}

static PyObject *take_malformed(PyObject *object, PyObject *Py_UNUSED(none))
{
    unsigned long long count = ((Interface *)object)->malformed;
    ((Interface *)object)->malformed = 0;
    return PyLong_FromUnsignedLongLong(count);
}

static PyObject *get_covered(PyObject *object, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(((Interface *)object)->is_covered);
}

static int set_covered(PyObject *object, PyObject *value, void *Py_UNUSED(closure))
{
    int is_covered = value ? PyObject_IsTrue(value) : 0;
    if (is_covered >= 0)
        ((Interface *)object)->is_covered = is_covered;
    return is_covered < 0 ? -1 : 0;
}

static uint32_t largest_packet(const struct pipe *pipe, uint32_t mtu)
{
    uint32_t around = HEADER_BYTES + WORD_BYTES, room = pipe->slot_bytes > around ? pipe->slot_bytes - around : 0;
    return mtu < room ? mtu : room;
}

static PyObject *fill_slots(PyObject *object, PyObject *arguments)
{
    enum { PACKET_BYTES, FRAME_BYTES, VIEWS };
    Py_buffer views[VIEWS] = {0};
    PyObject *place, *result = NULL;
    unsigned first, space, budget, channel, mtu;
    if (PyArg_ParseTuple(arguments, "O!IIIIIw*w*", pipe_type, &place, &first, &space, &budget, &channel, &mtu,
                         &views[PACKET_BYTES], &views[FRAME_BYTES])) {
        const struct pipe *pipe = &((Pipe *)place)->pipe;
        if (is_true(first < pipe->slots && space <= pipe->slots && channel < CHANNELS &&
                        holds(&views[PACKET_BYTES], pipe->slots, sizeof(uint32_t)) &&
                        holds(&views[FRAME_BYTES], pipe->slots, sizeof(uint32_t)),
                    "slots do not fit the pipe")) {
            struct filled filled;
            Py_BEGIN_ALLOW_THREADS
            filled = fill_from((Interface *)object, pipe, first, space, budget, channel, largest_packet(pipe, mtu),
                               views[PACKET_BYTES].buf, views[FRAME_BYTES].buf);
            Py_END_ALLOW_THREADS
            result = Py_BuildValue("IKI", filled.packets, (unsigned long long)filled.bytes, filled.too_long);
        }
    }
    release(views, VIEWS);
    return result;
}

static PyObject *attend(PyObject *object, PyObject *word)
{
    Pipe *self = (Pipe *)object;
    Py_buffer view = {0};
    if (word != Py_None && (PyObject_GetBuffer(word, &view, PyBUF_SIMPLE) ||
                            !is_true(holds(&view, 1, sizeof(uint32_t)), "a word has four bytes"))) {
        release(&view, 1);
        return NULL;
    }
    release(&self->awake_view, 1);
    self->awake_view = view;
    self->pipe.awake_word = view.buf;
    return Py_NewRef(Py_None);
}

static PyObject *send_slots(PyObject *object, PyObject *arguments)
{
    enum { PACKET_BYTES, FRAME_BYTES, VIEWS };
    Py_buffer views[VIEWS] = {0};
    PyObject *place, *result = NULL;
    unsigned first, space, budget, channel, mtu;
    struct owned at;
    if (PyArg_ParseTuple(arguments, "O!(IIII)IIIIIw*w*", pipe_type, &place, &at.head, &at.tail, &at.in_flight,
                         &at.generation, &first, &space, &budget, &channel, &mtu, &views[PACKET_BYTES],
                         &views[FRAME_BYTES])) {
        const struct pipe *pipe = &((Pipe *)place)->pipe;
        struct queued queued = ((Pipe *)place)->queued;
        if (is_true(queued.slots && at.head < pipe->entries && at.tail < pipe->entries && first < pipe->slots &&
                        at.in_flight <= pipe->slots && space <= pipe->slots - at.in_flight && channel < CHANNELS &&
                        holds(&views[PACKET_BYTES], pipe->slots, sizeof(uint32_t)) &&
                        holds(&views[FRAME_BYTES], pipe->slots, sizeof(uint32_t)),
                    "slots do not fit the pipe")) {
            struct sent sent;
            Py_BEGIN_ALLOW_THREADS
            sent = send_from((Interface *)object, pipe, queued, at, first, space, budget, channel,
                             largest_packet(pipe, mtu), views[PACKET_BYTES].buf, views[FRAME_BYTES].buf);
            Py_END_ALLOW_THREADS
            result = Py_BuildValue("IKII", sent.filled.packets, (unsigned long long)sent.filled.bytes,
                                   sent.filled.too_long, sent.retired);
        }
    }
    release(views, VIEWS);
    return result;
}

static PyObject *submit(PyObject *object, PyObject *arguments)
{
    const struct pipe *pipe = &((Pipe *)object)->pipe;
    struct queued queued = ((Pipe *)object)->queued;
    Py_buffer view = {0};
    PyObject *result = NULL;
    unsigned tail, first, count;
    if (PyArg_ParseTuple(arguments, "IIIy*", &tail, &first, &count, &view) &&
        is_true(queued.slots && tail < pipe->entries && first < pipe->slots && count <= pipe->slots &&
                    holds(&view, pipe->slots, sizeof(uint32_t)),
                "slots do not fit the pipe")) {
        const uint32_t *frame_bytes = view.buf;
        for (uint32_t slot = first; count; count--) {
            queue_slot(pipe, queued, tail, slot, frame_bytes[slot] & MAX_TRANSFER);
            tail = next_of(tail, pipe->entries);
            slot = next_of(slot, pipe->slots);
        }
        __atomic_thread_fence(__ATOMIC_RELEASE);
        result = Py_NewRef(Py_None);
    }
    release(&view, 1);
    return result;
}

static PyObject *drain_slots(PyObject *object, PyObject *arguments)
{
    const struct pipe *pipe = &((Pipe *)object)->pipe;
    struct queued queued = ((Pipe *)object)->queued;
    Py_buffer view = {0};
    PyObject *interfaces, *result = NULL;
    unsigned count;
    struct owned at;
    if (PyArg_ParseTuple(arguments, "O!(IIII)Iw*", &PyTuple_Type, &interfaces, &at.head, &at.tail, &at.in_flight,
                         &at.generation, &count, &view) &&
        is_true(queued.slots && PyTuple_Size(interfaces) == CHANNELS && at.head < pipe->entries &&
                    at.tail < pipe->entries && at.in_flight <= pipe->slots && count <= pipe->slots &&
                    holds(&view, 1, sizeof(struct tally)),
                "entries do not fit the pipe")) {
        Interface *devices[CHANNELS] = {0}; /* what is none of ours is Python's to deliver to */
        for (int channel = 0; channel < CHANNELS; channel++) {
            PyObject *each = PyTuple_GetItem(interfaces, channel);
            if (Py_TYPE(each) == interface_type && !((Interface *)each)->is_covered)
                devices[channel] = (Interface *)each;
        }
        uint32_t done;
        Py_BEGIN_ALLOW_THREADS
        done = drain_to(devices, pipe, at, count, queued, view.buf);
        Py_END_ALLOW_THREADS
        result = PyLong_FromUnsignedLong(done);
    }
    release(&view, 1);
    return result;
}

static PyObject *take_frames(PyObject *object, PyObject *arguments)
{
    enum { BEARERS, TALLY, VIEWS };
    Py_buffer views[VIEWS] = {0};
    PyObject *place, *result = NULL;
    unsigned position, count, generation, max_packet;
    if (PyArg_ParseTuple(arguments, "O!IIIIy*w*", pipe_type, &place, &position, &count, &generation, &max_packet,
                         &views[BEARERS], &views[TALLY])) {
        const struct pipe *pipe = &((Pipe *)place)->pipe;
        if (is_true(position < pipe->entries && count < pipe->entries &&
                        holds(&views[BEARERS], CHANNELS, sizeof(struct bearer)) &&
                        holds(&views[TALLY], 1, sizeof(struct tally)),
                    "entries or bearers do not fit the pipe")) {
            uint32_t done;
            Py_BEGIN_ALLOW_THREADS
            done = take_from((Interface *)object, pipe, position, count, generation, max_packet, views[BEARERS].buf,
                             views[TALLY].buf);
            Py_END_ALLOW_THREADS
            result = PyLong_FromUnsignedLong(done);
        }
    }
    release(views, VIEWS);
    return result;
}

static PyObject *fill_buffers(PyObject *object, PyObject *arguments)
{
    enum { BEARERS, TALLY, VIEWS };
    Py_buffer views[VIEWS] = {0};
    PyObject *place, *result = NULL;
    unsigned position, space, budget, generation;
    if (PyArg_ParseTuple(arguments, "O!IIIIy*w*", pipe_type, &place, &position, &space, &budget, &generation,
                         &views[BEARERS], &views[TALLY])) {
        const struct pipe *pipe = &((Pipe *)place)->pipe;
        if (is_true(position < pipe->entries && space < pipe->entries &&
                        holds(&views[BEARERS], CHANNELS, sizeof(struct bearer)) &&
                        holds(&views[TALLY], 1, sizeof(struct tally)),
                    "entries or bearers do not fit the pipe")) {
            uint32_t done;
            Py_BEGIN_ALLOW_THREADS
            done = fill_buffers_from((Interface *)object, pipe, position, space, budget, generation, views[BEARERS].buf,
                                     views[TALLY].buf);
            Py_END_ALLOW_THREADS
            result = PyLong_FromUnsignedLong(done);
        }
    }
    release(views, VIEWS);
    return result;
}

static PyMethodDef interface_methods[] = {
    {"read_into", read_into, METH_O, "Take one packet, or one segment: NetDevice.read_into."},
    {"take_malformed", take_malformed, METH_NOARGS,
     "How many packets had headers that could not be true, since it was last asked."},
    {"write", write_one, METH_O, "Hand packet information and packet to the kernel: NetDevice.write."},
    {"fill_slots", fill_slots, METH_VARARGS,
     "fill_slots(pipe, first, space, budget, channel, mtu, packet_bytes, frame_bytes) -> packets, bytes, too long\n\n"
     "TransmitRing.fill_from. Slots from `first` on are filled, at most `space`; the two arrays of u32 have one\n"
     "number for each slot."},
    {"send_slots", send_slots, METH_VARARGS,
     "send_slots(pipe, owned, first, space, budget, channel, mtu, packet_bytes, frame_bytes)\n"
     "    -> packets, bytes, too long, retired\n\n"
     "As `fill_slots`, and the slots are submitted and published. While the other side is awake those that come\n"
     "back are retired and filled again. Owned: head, tail, entries in flight, generation."},
    {"take_frames", take_frames, METH_VARARGS,
     "take_frames(pipe, position, count, generation, max_packet, bearers, tally) -> entries\n\n"
     "Uplink.drain_to, up to the first frame that is no plain data of a bearer."},
    {"fill_buffers", fill_buffers, METH_VARARGS,
     "fill_buffers(pipe, position, space, budget, generation, bearers, tally) -> entries\n\n"
     "Downlink.fill_from, up to the first packet that no bearer takes, or a buffer that is none. What `tally`\n"
     "counts as refused was lost in flight."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef interface_attributes[] = {
    {"has_packet", has_packet, NULL, "Whether segments wait here that no descriptor tells of.", NULL},
    {"is_covered", get_covered, set_covered, "Whether something is laid over the TUN that wants to see packets.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot interface_slots[] = {
    {Py_tp_doc, "Interface(descriptor, merges_udp=False): a TUN with offloads; the descriptor stays its owner's."},
    {Py_tp_new, interface_new},
    {Py_tp_dealloc, interface_dealloc},
    {Py_tp_methods, interface_methods},
    {Py_tp_getset, interface_attributes},
    {0, NULL},
};

static PyType_Spec interface_spec = {
    .name = "bamdmux._pump.Interface",
    .basicsize = sizeof(Interface),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = interface_slots,
};

static PyMethodDef pipe_methods[] = {
    {"attend", attend, METH_O,
     "attend(word)\n\n"
     "The other side is another process, and awake while this word of four bytes says so; None: it is not."},
    {"submit", submit, METH_VARARGS,
     "submit(tail, first, count, frame_bytes)\n\n"
     "PipeOwner.submit for `count` slots from `first` on; the array of u32 has one number for each slot."},
    {"drain_slots", drain_slots, METH_VARARGS,
     "drain_slots(interfaces, owned, count, tally) -> entries\n\n"
     "ReceiveRing.drain_to, up to the first frame that is no plain data for one of eight interfaces."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pipe_slots[] = {
    {Py_tp_doc,
     "Pipe(memory, place, slots_of=None, sizes_of=None): an end of a pipe, and the owner's arrays of u16, for each entry.\n\n"
     "The place: FIFO, entries, buffers, stride, slot bytes, slots, tail word, position word; offsets and sizes in bytes."},
    {Py_tp_new, pipe_new},
    {Py_tp_dealloc, pipe_dealloc},
    {Py_tp_methods, pipe_methods},
    {0, NULL},
};

static PyType_Spec pipe_spec = {
    .name = "bamdmux._pump.Pipe",
    .basicsize = sizeof(Pipe),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = pipe_slots,
};

static PyObject *fence(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return Py_NewRef(Py_None);
}

enum { MAX_WORDS = 4 };

/* A word of shared memory, and what is no news of it. */
struct word {
    const uint32_t *at;
    uint32_t seen;
};

/* Wait for a descriptor or a word without sleeping, but whoever else wants the processor may have it. */
static bool spins_in_vain(int descriptor, uint64_t nanoseconds, const struct word *words, int count)
{
    struct pollfd waiting = {.fd = descriptor, .events = POLLIN};
    uint64_t now = clock_ns(), until = now + nanoseconds;
    do {
        for (int each = 0; each < count; each++)
            if (__atomic_load_n(words[each].at, __ATOMIC_ACQUIRE) != words[each].seen)
                return false;
        if (poll(&waiting, 1, 0))
            return false;
        if (is_crowded(now))
            break;
        now = give_way(now);
    } while (now < until);
    return true;
}

static PyObject *spin(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer views[MAX_WORDS] = {0};
    struct word words[MAX_WORDS];
    PyObject *pairs, *result = NULL;
    int descriptor, count = 0;
    unsigned long long nanoseconds;
    if (!PyArg_ParseTuple(arguments, "iKO!", &descriptor, &nanoseconds, &PyTuple_Type, &pairs) ||
        !is_true(PyTuple_Size(pairs) <= MAX_WORDS, "too many words"))
        return NULL;
    for (; count < PyTuple_Size(pairs); count++) {
        if (!PyArg_ParseTuple(PyTuple_GetItem(pairs, count), "y*I", &views[count], &words[count].seen) ||
            !is_true(holds(&views[count], 1, sizeof(uint32_t)), "a word has four bytes"))
            break;
        words[count].at = views[count].buf;
    }
    if (count == PyTuple_Size(pairs)) {
        bool is_vain;
        Py_BEGIN_ALLOW_THREADS
        is_vain = spins_in_vain(descriptor, nanoseconds, words, count);
        Py_END_ALLOW_THREADS
        result = PyBool_FromLong(!is_vain);
    }
    release(views, MAX_WORDS);
    return result;
}

static PyMethodDef functions[] = {
    {"spin", spin, METH_VARARGS,
     "spin(descriptor, nanoseconds, words) -> bool\n\n"
     "Wait for at most so long, awake, until the descriptor is readable or a word is another; whether one is so.\n"
     "The words: pairs of a view of four bytes, and the number that is there."},
    {"fence", fence, METH_NOARGS, "What was written before is seen by all before anything is read after."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "bamdmux._pump",
    .m_doc = "The native pump: packets between TUNs and ring slots, many at a time.",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__pump(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    interface_type = (PyTypeObject *)PyType_FromSpec(&interface_spec);
    pipe_type = (PyTypeObject *)PyType_FromSpec(&pipe_spec);
    if (!interface_type || !pipe_type || PyModule_AddObjectRef(module, "Interface", (PyObject *)interface_type) ||
        PyModule_AddObjectRef(module, "Pipe", (PyObject *)pipe_type)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
