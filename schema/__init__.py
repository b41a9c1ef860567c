"""What the world sees: the SDL written in Python, one file per noun.

Fields say once what they are (a column of a row, a loader's question, a resolver), who may ask and what it costs.
"""
