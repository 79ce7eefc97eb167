//! `bench` prints its figures and removes all that it made.

use crate::kit::{binary, exit, names, run, scratch_dir};

#[test]
fn a_bench_tells_its_figures_and_removes_what_it_made() {
    let home = scratch_dir();
    for ids in ["uuid", "sequential", "replayed"] {
        let mut bench = binary();
        let options = "bench --quiet --events 3000 --duplicates 0.5 --runs 2 --lone 5 \
                       --old-duplicates 700 --ids";
        bench.args(options.split(' ')).args([ids, "--directory"]);
        let report = run(bench.arg(home.path()), "").expect_record();
        let number = |name: &str| report[name].as_u64().expect("a number");
        assert_eq!(
            number("accepted") + number("found_again"),
            3_000,
            "{report}"
        );
        let is_replay = ids == "replayed";
        assert_eq!(number("accepted") == 0, is_replay, "{report}");
        assert!(report["events_per_second"].as_f64() > Some(0.0), "{report}");
        assert_eq!(
            report["rates"].as_array().map(Vec::len),
            Some(2),
            "{report}"
        );
        assert_eq!(
            report["stages"].as_array().map(Vec::len),
            Some(7),
            "{report}"
        );
        let old = &report["old_duplicates"];
        assert_eq!(old["events"], 700, "{report}");
        assert_eq!(old["rates"].as_array().map(Vec::len), Some(2), "{report}");
        assert!(old["events_per_second"].as_f64() > Some(0.0), "{report}");
        assert!(report["lone"]["p50_us"].as_f64() > Some(0.0), "{report}");
        assert_eq!(names(home.path()).len(), 0);
    }
}

#[test]
fn a_share_of_duplicates_that_is_not_below_1_is_refused() {
    for share in ["1", "-0.1", "x"] {
        let mut bench = binary();
        bench.args(["bench", "--duplicates", share]);
        run(&mut bench, "").expect_status(exit::USAGE);
    }
}
