//! SPDX, as JSON: <https://spdx.github.io/spdx-spec/v2.3/>.

use serde_json::{Value, json};

use super::super::installed::Layer;
use super::Sbom;
use super::package::{Package, Sum};

/// The version of the format.
pub const SPEC: &str = "2.3";
const IMAGE: &str = "SPDXRef-Image";
/// SPDX wants a time; an image that was never read back here has none.
const NO_TIME: &str = "1970-01-01T00:00:00Z";
const UNSAID: &str = "NOASSERTION";

pub(super) fn of(sbom: &Sbom<'_>) -> Value {
    let identity = sbom.identity();
    let name = sbom.recipe.tag();
    let image = json!({
        "SPDXID": IMAGE, "name": name, "versionInfo": identity.short(), "downloadLocation": UNSAID,
        "filesAnalyzed": false, "primaryPackagePurpose": "CONTAINER", "licenseConcluded": UNSAID,
        "licenseDeclared": UNSAID, "copyrightText": UNSAID,
        "comment": format!("recipe {identity} upon {}", sbom.recipe.from()),
    });
    let mut packages = vec![image];
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", IMAGE)];
    for (number, found) in sbom.packages.iter().enumerate() {
        let id = format!("SPDXRef-Package-{number}");
        relations.push(relation(IMAGE, "CONTAINS", &id));
        packages.push(package(&id, found));
    }
    json!({
        "spdxVersion": format!("SPDX-{SPEC}"), "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": name,
        "documentNamespace": format!("urn:uuid:{}", sbom.uuid()),
        "creationInfo": {
            "created": sbom.at.and_then(to_seconds).unwrap_or_else(|| NO_TIME.to_owned()),
            "creators": [format!("Tool: {}-{}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages, "relationships": relations,
    })
}

fn package(id: &str, package: &Package) -> Value {
    let mut value = json!({
        "SPDXID": id, "name": package.name, "versionInfo": package.version,
        "downloadLocation": package.url.as_deref().unwrap_or(UNSAID), "filesAnalyzed": false,
        "licenseConcluded": UNSAID, "licenseDeclared": UNSAID, "copyrightText": UNSAID,
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": package.purl,
        }],
        "comment": match package.layer {
            Layer::Approved => "approved for this image",
            Layer::Bundled => "came within a package approved for this image",
            Layer::Base => "of the base image",
        },
    });
    if let Some(sum) = &package.sum {
        let (algorithm, digits) = match sum {
            Sum::Sha256(sum) => ("SHA256", sum.as_str()),
            Sum::Sha512(sum) => ("SHA512", sum.as_str()),
        };
        value["checksums"] = json!([{"algorithm": algorithm, "checksumValue": digits}]);
    }
    value
}

fn relation(from: &str, kind: &str, to: &str) -> Value {
    json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to})
}

/// SPDX knows no fractions of a second, and no offset but `Z`.
fn to_seconds(at: &str) -> Option<String> {
    let at = chrono::DateTime::parse_from_rfc3339(at).ok()?;
    Some(at.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string())
}
