SequenceRenderer = None
