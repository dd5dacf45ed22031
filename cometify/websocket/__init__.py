"""RFC 6455 frames and RFC 7692 compression, without I/O."""
