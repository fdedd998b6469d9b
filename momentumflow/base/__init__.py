"""The ground floor: what every room may import; it imports none of them."""
