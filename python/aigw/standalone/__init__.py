"""`aigw run`: one Gateway on this machine, with an Envoy of its own."""
