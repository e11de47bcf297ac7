"""`python -m bench dht`: DHT nodes of Shoal beside those of `opendht`."""
