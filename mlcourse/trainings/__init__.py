"""What takes minutes: for each chapter that has some, its experiments and trainings, run once by ``make``.

A chapter declares them in ``TRAININGS`` of the module of its name. The references know nothing of them.
"""
