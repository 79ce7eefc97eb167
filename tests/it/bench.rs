//! `bench`: what it tells, and that it leaves nothing behind.

use crate::client::scratch_dir;
use crate::command::{binary, run};
use std::fs;

#[test]
fn a_bench_tells_its_figures_and_removes_what_it_made() {
    let home = scratch_dir();
    for ids in ["uuid", "sequential", "replayed"] {
        let mut bench = binary();
        bench.args([
            "bench",
            "--quiet",
            "--events",
            "3000",
            "--duplicates",
            "0.5",
            "--runs",
            "2",
        ]);
        bench
            .args(["--lone", "5", "--ids", ids, "--directory"])
            .arg(home.path());
        let line = run(&mut bench, "").expect_quiet_success();
        let report: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
        let number = |name: &str| report[name].as_u64().expect("a number");
        assert_eq!(number("accepted") + number("found_again"), 3_000, "{line}");
        let is_replay = ids == "replayed";
        assert_eq!(number("accepted") == 0, is_replay, "{line}");
        assert!(report["events_per_second"].as_f64() > Some(0.0), "{line}");
        assert_eq!(report["rates"].as_array().map(Vec::len), Some(2), "{line}");
        assert_eq!(report["stages"].as_array().map(Vec::len), Some(7), "{line}");
        assert!(report["lone"]["p50_us"].as_f64() > Some(0.0), "{line}");
        assert_eq!(fs::read_dir(home.path()).expect("it is there").count(), 0);
    }
}

#[test]
fn a_share_of_duplicates_that_is_none_is_refused() {
    for share in ["1", "-0.1", "x"] {
        let mut bench = binary();
        bench.args(["bench", "--duplicates", share]);
        let refused = run(&mut bench, "");
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    }
}
