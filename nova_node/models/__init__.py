"""Models that this node reaches: which they are, what they cost, and how they are asked.

Rule: litellm is imported in `gateway` alone, inside functions; what a model says is data, never an order.
"""
