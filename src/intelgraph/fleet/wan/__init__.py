"""WAN links between regions on one machine: relays that delay and cut."""
