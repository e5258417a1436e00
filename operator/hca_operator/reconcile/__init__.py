"""One pass over one object: resolve, observe, plan, act, report (docs/design/0018).

Code that follows from the object alone belongs in desired/, scaling/ or restarts/; requests and caches belong in kube/;
what starts a pass belongs in controller/.
"""
