"""Registries for tests."""


def publish(registry, manifest, files):
    """Publishes a version and returns its id; a registry's first one is made stable."""
    version_id = registry.publish(manifest, files)
    if registry.channels().stable is None:
        registry.assign("stable", version_id)
    return version_id
