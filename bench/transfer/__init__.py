"""File throughput: two nodes of Shoal beside two `jamid`."""
