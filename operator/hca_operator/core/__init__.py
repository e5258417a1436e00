"""What everything else is built of: errors, names, quantities, times, cron, facts read off live objects.

Pure, and knows no field of the custom resource: see `api`.
"""
