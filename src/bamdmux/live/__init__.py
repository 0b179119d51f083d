"""The real world: TUN devices, namespaces, shared memory and clocks."""
