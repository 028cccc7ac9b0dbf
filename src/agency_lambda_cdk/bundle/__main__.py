"""`make bundle`: build the bundle, and print its size."""

import sys

from agency_lambda_cdk.bundle import Architecture, BundleError, agencies, beside, build, parts


def main(architecture: Architecture) -> None:
    folder = build(architecture)
    archive = beside(folder, ".zip")
    for agency, variables in agencies.lacking(folder).items():
        print(f"Agency {agency!r} needs {' and '.join(variables)} where it is deployed.", file=sys.stderr)
    sizes = parts(folder)
    print(folder)
    print(f"{sizes.total() / 1e6:.1f} MB unzipped, {archive.stat().st_size / 1e6:.1f} MB zipped; the largest:")
    for name, size in sizes.most_common(10):
        print(f"{size / 1e6:6.1f} MB  {name}")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if sys.argv[1:] else "arm64")  # type: ignore[arg-type]
    except BundleError as error:
        sys.exit(f"No bundle: {error}")
