"""What a trial of the pipeline needs: an author who never rests, an onlooker, and a verdict.

Tests of faults and the soak share it.
"""
