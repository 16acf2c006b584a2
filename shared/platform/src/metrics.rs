//! Counts that an alarm listens to: a line in the log that CloudWatch reads as
//! a metric (the embedded metric format), so that counting calls nobody.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use crate::config;
use jiff::Timestamp;
use serde_json::{Value, json};

/// A message could not be worked off, or what came of it must be looked at.
pub const FAILED_MESSAGES: &str = "FailedMessages";

/// Counts one more of `name`, for the function that is running.
pub fn count(name: &str) {
    println!("{}", line(name, &config::function_name(), Timestamp::now()));
}

fn line(name: &str, function: &str, now: Timestamp) -> Value {
    json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": "Perennial",
                "Dimensions": [["Function"]],
                "Metrics": [{ "Name": name, "Unit": "Count" }],
            }],
        },
        "Function": function,
        name: 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_line_that_names_its_metric_and_its_function() {
        let line = line(FAILED_MESSAGES, "renewal-worker", Timestamp::UNIX_EPOCH);
        let metric = &line["_aws"]["CloudWatchMetrics"][0];
        let name = metric["Metrics"][0]["Name"].as_str().unwrap_or_default();
        let dimension = metric["Dimensions"][0][0].as_str().unwrap_or_default();
        assert_eq!((line[name].as_i64(), line[dimension].as_str()), (Some(1), Some("renewal-worker")));
    }
}
