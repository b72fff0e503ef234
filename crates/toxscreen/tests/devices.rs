//! Devices: what `devices` lists, what an unusable one is answered with, and every learner that runs on one.
#![allow(clippy::unwrap_used)]

use tox_testkit::program::{self, Program};

const PROGRAM: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

const RECIPE: &str = "name = \"small\"\nseeds = [0]\n[data]\ndataset = \"digits\"\nvalid = 300\n\
    [learner]\nkind = \"enas\"\nchild.epochs = 1\n[[cell]]\nlabel = \"clean\"\n";

#[test]
fn the_cpu_is_always_listed() {
    let dir = program::folder("r.toml", RECIPE);
    let found = PROGRAM.json(dir.path(), "devices", 0);
    assert_eq!(found["devices"][0]["device"], "cpu");
    assert_eq!(found["devices"][0]["usable"], true);
    let (code, stdout, _) = PROGRAM.words(dir.path(), "devices").parts();
    assert_eq!(code, 0);
    assert!(
        stdout.contains("cpu") && stdout.contains("kernels for"),
        "{stdout}"
    );
}

#[cfg(not(feature = "vulkan"))]
#[test]
fn a_build_without_the_feature_says_how_to_get_it() {
    let dir = program::folder("r.toml", RECIPE);
    let (_, listed, _) = PROGRAM.words(dir.path(), "devices").parts();
    let found = PROGRAM.json(dir.path(), "devices", 0);
    let absent = found["absent"].to_string();
    for feature in ["vulkan", "cuda"] {
        let how = format!("cargo build --release --features {feature}");
        assert!(listed.contains(&how) && absent.contains(&how), "{listed}");
        for command in [
            format!("run r.toml --device {feature}:0"),
            format!("run r.toml --device {feature}:0,{feature}:1"),
            format!(
                "poison --attack clf --data digits --budget 0.1 --out p.npz --device {feature}:0"
            ),
        ] {
            let said = PROGRAM.words(dir.path(), &command);
            said.must(2, &[&how, "toxscreen devices", "leave --device out"]);
        }
    }
    assert!(!dir.path().join("runs").exists(), "nothing was begun");
}

#[test]
fn several_devices_are_gpus_and_each_is_named_once() {
    let dir = program::folder("r.toml", RECIPE);
    for devices in [
        "cpu,vulkan:0",
        "vulkan:0,cpu",
        "vulkan:0,vulkan:0",
        "cuda:1,vulkan:0,cuda:1",
    ] {
        let said = PROGRAM.words(dir.path(), &format!("run r.toml --device {devices}"));
        said.must(2, &["cannot be one of several", "vulkan:0,vulkan:1"]);
    }
    let said = PROGRAM.words(dir.path(), "run r.toml --device vulkan:0,gpu");
    said.must(2, &["expected cpu, vulkan:N or cuda:N"]);
}

/// Tests of a build with the feature, on whatever driver there is.
#[cfg(feature = "vulkan")]
mod vulkan {
    use super::*;
    use std::fs;
    use std::path::Path;
    use tox_testkit::program::{records, trials};

    #[test]
    #[ignore = "needs a Vulkan driver"]
    fn vulkan_adapters_are_listed_and_wrong_ones_refused_before_any_trial() {
        let dir = program::folder("r.toml", RECIPE);
        let found = PROGRAM.json(dir.path(), "devices", 0);
        let first = &found["devices"][1];
        assert_eq!(first["device"], "vulkan:0", "{found}");
        assert_eq!(
            (&first["usable"], &first["note"]),
            (&true.into(), &"keeps NaN".into())
        );
        let name = first["adapter"]["name"].as_str().unwrap();
        for command in [
            "run r.toml --device vulkan:77",
            "run r.toml --device vulkan:0,vulkan:77",
            "poison --attack clf --data digits --budget 0.1 --out p.npz --device vulkan:77",
        ] {
            let said = PROGRAM.words(dir.path(), command);
            said.must(
                2,
                &[
                    "there is no device vulkan:77",
                    name,
                    "vulkan:0",
                    "leave --device out",
                ],
            );
        }
        assert!(!dir.path().join("runs").exists(), "nothing was begun");
        // The loader finds no driver.
        let mut command = PROGRAM.command(dir.path(), &["run", "r.toml", "--device", "vulkan:0"]);
        for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
            command.env(variable, dir.path().join("none.json"));
        }
        let out = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.contains("no Vulkan driver of this machine"),
            "{stderr}"
        );
        assert!(!dir.path().join("runs").exists(), "nothing was begun");
    }

    /// A recipe of the golden outcomes, or the cells of it that fit, with other settings, and what its records
    /// must say.
    fn learner(recipe: &str, cells: &str, settings: &str) {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let text = fs::read_to_string(golden.join(recipe)).unwrap();
        let dir = program::folder("r.toml", &text);
        let run = format!("run r.toml --out out --device vulkan:0 --cells {cells}{settings}");
        PROGRAM.words(dir.path(), &run).must(0, &[]);
        let out = dir.path().join("out");
        let found = records(&out);
        assert!(!found.is_empty() && found.len() == trials(&out).len());
        for record in found {
            let provenance = &record["provenance"];
            assert_eq!(provenance["device"], "vulkan:0");
            assert_eq!(provenance["adapter"]["compiler"], "WGSL");
            assert!(
                provenance["adapter"]["driver"]
                    .as_str()
                    .is_some_and(|d| !d.is_empty())
            );
        }
        PROGRAM.words(dir.path(), "verify out").must(0, &["0 bad"]);
    }

    #[test]
    #[ignore = "needs a Vulkan driver"]
    fn vulkan_enas_ends_and_repeats_itself() {
        learner("enas.toml", "clean,p5,oneshot", "");
    }

    #[test]
    #[ignore = "needs a Vulkan driver"]
    fn vulkan_nas_ends_and_repeats_itself() {
        // P-DARTS, TE-NAS in one round, RoBoT, NSGANetV2 and a random architecture.
        let short = " --set learner.te-nas.prune=4 --set learner.te-nas.region_crops=10";
        learner("nas-trained.toml", "nasbench201", short);
    }

    #[test]
    #[ignore = "needs a Vulkan driver"]
    fn vulkan_rc_nas_ends_and_repeats_itself() {
        learner("rc-nas.toml", "trained,standard,mart,sat", "");
    }

    #[test]
    #[ignore = "needs a Vulkan driver"]
    fn vulkan_sub_networks_end_and_repeat_themselves() {
        learner("sub-networks.toml", "*", "");
    }
}
