"""One pass over one object: resolve, observe, plan, act, report (docs/design/0018).

What follows from the object alone belongs in desired/, scaling/ or restarts/; requests and caches in kube/; when a pass
begins in controller/.
"""
