"""``make demo``: the whole pipeline on this machine, and a Studio whose publishes one can watch arrive.

Reading order: ``cli.py`` (what is started and stopped), ``play.py`` (the acts), ``edits.py`` (what
Studio's author does), ``watching.py`` (what the numbers mean). Two processes: ``cli`` keeps the
servers and tidies up whatever happens, ``stage`` plays.
"""
