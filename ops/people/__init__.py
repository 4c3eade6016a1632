"""Who uses dropstream, what they may do, and what they did."""
