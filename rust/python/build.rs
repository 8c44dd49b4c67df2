//! Builds the Envoy module beside the Python extension, so that one wheel ships both.
//!
//! Only where maturin drives the build, or `AIGW_BUILD_MODULE` is set: checks and tests of the
//! workspace need no second build.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags that are meant for the Python extension must not reach the Envoy module.
const NOT_INHERITED: [&str; 6] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
];
const SWITCHES: [&str; 2] = ["PYO3_BUILD_EXTENSION_MODULE", "AIGW_BUILD_MODULE"];
const MODULE: &str = "libaigw_envoy.so";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for name in SWITCHES {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let rust = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("..");
    for crate_name in ["envoy", "runtime", "core"] {
        let folder = rust.join(crate_name);
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    if !SWITCHES.iter().any(|name| env::var_os(name).is_some()) {
        return Ok(());
    }
    build(&rust.join("envoy/Cargo.toml"))
}

/// Builds in a target directory of its own: the outer build holds the lock of the usual one.
fn build(manifest: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(variable("OUT_DIR")?);
    let target = variable("TARGET")?;
    let folder = out.join("module");
    let (profile, result) = if variable("PROFILE")? == "release" {
        ("release", "release")
    } else {
        ("dev", "debug")
    };
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .args(["build", "--lib", "--profile", profile, "--target"])
        .arg(&target)
        .arg("--manifest-path")
        .arg(manifest)
        .arg("--target-dir")
        .arg(&folder);
    for name in NOT_INHERITED {
        cargo.env_remove(name);
    }
    if !cargo.status()?.success() {
        return Err("building the Envoy module failed".into());
    }
    let built = folder.join(&target).join(result).join(MODULE);
    std::fs::copy(built, out.join(MODULE))?;
    Ok(())
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set"))
}
