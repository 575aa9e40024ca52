//! CycloneDX, as JSON: <https://cyclonedx.org/docs/1.6/json/>.

use serde_json::{Value, json};

use super::Sbom;
use super::package::{Package, Sum};

/// The version of the format.
pub const SPEC: &str = "1.6";

pub(super) fn of(sbom: &Sbom<'_>) -> Value {
    let identity = sbom.identity();
    let tag = sbom.recipe.tag();
    let mut metadata = json!({
        "tools": {"components": [{
            "type": "application", "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION"),
        }]},
        "component": {
            "type": "container", "bom-ref": tag, "name": "taskforge/agent", "version": identity.short(),
            "properties": [
                {"name": "taskforge:recipe", "value": identity},
                {"name": "taskforge:base", "value": sbom.recipe.from().to_string()},
            ],
        },
    });
    if let Some(at) = sbom.at {
        metadata["timestamp"] = at.into();
    }
    let components: Vec<Value> = sbom.packages.iter().map(component).collect();
    let needs: Vec<&str> = sbom.packages.iter().map(|package| package.purl.as_str()).collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX", "specVersion": SPEC, "version": 1,
        "serialNumber": format!("urn:uuid:{}", sbom.uuid()),
        "metadata": metadata, "components": components,
        "dependencies": [{"ref": tag, "dependsOn": needs}],
    })
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library", "bom-ref": package.purl, "name": package.name, "version": package.version,
        "purl": package.purl, "properties": [{"name": "taskforge:layer", "value": package.layer.as_str()}],
    });
    if let Some(sum) = &package.sum {
        let (algorithm, digits) = match sum {
            Sum::Sha256(sum) => ("SHA-256", sum.as_str()),
            Sum::Sha512(sum) => ("SHA-512", sum.as_str()),
        };
        component["hashes"] = json!([{"alg": algorithm, "content": digits}]);
    }
    if let Some(url) = &package.url {
        component["externalReferences"] = json!([{"type": "distribution", "url": url}]);
    }
    component
}
