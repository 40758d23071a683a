"""What both clients share: requests and answers as values, and the two transports."""
