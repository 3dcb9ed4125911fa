"""Write one page that shows what is wrong with predictions: figures, what became of every object,
the most expensive mistakes with their frames; of two runs also what changed.

    python tools/report.py RESULT GT [RESULT2] --out report.html
"""

from knet.commands import main

if __name__ == '__main__':
    main('report')
