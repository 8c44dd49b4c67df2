"""Test beds: real servers and clients that the tests stand on."""
