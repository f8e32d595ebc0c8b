"""What forescale would have run, beside what was there: from the journal of a controller, at best in `recommend` mode.

`observed` is what was seen and said at the time. `estimate` is what would have come of following it: a model, judged by
how well it tells what really happened. `page` shows both.
"""
