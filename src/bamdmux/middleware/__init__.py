"""What wraps a pipe end, a line, a doorbell or an interface; never a flag in the machines."""
