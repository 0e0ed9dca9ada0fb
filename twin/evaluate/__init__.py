"""How wrong a localizer is: metrics with intervals, records, report."""
