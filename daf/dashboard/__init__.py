"""What runs against a store, shown while it runs: a local web page, and the same in a terminal."""
