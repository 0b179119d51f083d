/* forward: packets from one TUN to another and back, in one thread; what `bamdmux bench` calls "straight".
 *
 *     forward NEAR FAR        two descriptors of TUNs, inherited
 *
 * One read and one write for each packet, and nothing between them. What a packet is, the TUNs decide: with
 * IFF_VNET_HDR and offloads, a super-packet of up to 64 KiB behind its virtio_net_hdr, which only passes
 * through; else one packet as long as the MTU. So no program that moves packets between TUNs by system calls
 * can do much less, and that is all that this one is for.
 *
 * It does not end by itself, and what a TUN does not take is lost, as on a wire.
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LONGEST = 10 + 65535, /* struct virtio_net_hdr and an IP packet */
    BUDGET = 64,          /* packets, then the other direction has its turn */
};

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int descriptor_of(const char *argument)
{
    int descriptor = atoi(argument);
    int flags = fcntl(descriptor, F_GETFL);

    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0)
        fail(argument);
    return descriptor;
}

/* Move what waits at one TUN to the other, but no more than the budget: poll() tells when there is more. */
static void forward(int from, int to)
{
    static char packet[LONGEST];

    for (int count = 0; count < BUDGET; count++) {
        ssize_t length = read(from, packet, sizeof packet);

        if (length < 0 && errno != EAGAIN && errno != EINTR)
            fail("read");
        if (length <= 0)
            return;
        if (write(to, packet, (size_t)length) < 0)
            continue;
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: forward NEAR FAR\n");
        return 2;
    }

    struct pollfd tuns[] = {
        {.fd = descriptor_of(argv[1]), .events = POLLIN},
        {.fd = descriptor_of(argv[2]), .events = POLLIN},
    };

    for (;;) {
        if (poll(tuns, 2, -1) < 0 && errno != EINTR)
            fail("poll");
        for (int side = 0; side < 2; side++) {
            if (tuns[side].revents)
                forward(tuns[side].fd, tuns[!side].fd);
        }
    }
}
