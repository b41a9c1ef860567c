"""What a process tells its operators of itself: instruments that count at the price of an integer, and the ways out for what they counted.

It knows of nothing else in PENNY but settings; whoever has something to count declares it in a `metrics.py` beside the code that counts.
"""
