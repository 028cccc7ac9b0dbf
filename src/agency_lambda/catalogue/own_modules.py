import pkgutil
from importlib import import_module

import agency_lambda


def import_all() -> None:
    for module in pkgutil.walk_packages(agency_lambda.__path__, "agency_lambda."):
        if not module.name.endswith(".__main__") and ".testing" not in module.name:
            import_module(module.name)
