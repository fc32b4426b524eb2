"""`modeltap settings` and `modeltap operations`: the reference pages, from the code itself."""

from modeltap.settings import Settings


def settings() -> None:
    """Print every setting as a table; docs/settings.md is this."""
    print("# Settings\n")
    print(
        "Command line > `MODELTAP_{NAME}` > `{home}/settings.toml` > default. An external bucket:"
    )
    print("`[external_buckets.NAME]` with `endpoint`, `region`, `access_key_id`,")
    print("`secret_access_key` and `allow_http`.\n")
    print("| setting | default | meaning |\n|---|---|---|")
    for name, field in Settings.model_fields.items():
        print(f"| `{name}` | `{field.default}` | {field.description} |")
