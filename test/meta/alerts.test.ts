/** Keeps the rules for Prometheus true: their syntax, their tests, and the section of the operator's guide for each alert. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { withoutProgram } from "../e2e/process.ts";
import { temporaryDirectory } from "../support/daemon.ts";
import { readDashboardQueries, readRules } from "../support/promql.ts";

const alerts = readRules().filter(({ alert }) => alert !== undefined);
const tests = readFileSync("deploy/prometheus/rules.test.yaml", "utf8");
const guide = readFileSync("docs/operations.md", "utf8");

function promtool(...args: string[]): string {
  return execFileSync("promtool", args, { cwd: "deploy/prometheus", encoding: "utf8" });
}

const skip = await withoutProgram("promtool", ["--version"], "apt install prometheus");

describe("promtool", { skip }, () => {
  test("accepts the rules and the configuration", () => {
    promtool("check", "rules", "rules.yaml");
    promtool("check", "config", "prometheus.yaml");
  });

  test("accepts the queries of the dashboard for Grafana", (t) => {
    const rules = readDashboardQueries().map((expr, i) => ({
      record: `query:${i}`,
      expr: expr.replaceAll("$__rate_interval", "1m"),
    }));
    const file = join(temporaryDirectory(t), "queries.yaml");
    writeFileSync(file, JSON.stringify({ groups: [{ name: "queries", rules }] }));
    promtool("check", "rules", file);
  });

  test("sees each alert fire with its fault, and none for a healthy tracker", () => {
    promtool("test", "rules", "rules.test.yaml");
  });
});

describe("alerts", () => {
  assert.ok(alerts.length >= 20);
  for (const { alert, labels, annotations } of alerts) {
    test(`${alert} says what happened, and what to do`, () => {
      assert.ok(["critical", "warning", "info"].includes(labels?.severity ?? ""));
      assert.deepEqual(Object.keys(annotations ?? {}), ["summary", "description", "runbook"]);
      assert.match(annotations!.summary!, /\{\{ \$labels\.instance \}\}/);
      assert.equal(annotations!.runbook, `docs/operations.md#${alert!.toLowerCase()}`);
      assert.ok(guide.includes(`\n### ${alert}\n`), `docs/operations.md has no section ${alert}`);
    });

    test(`${alert} has a test in which it fires`, () => {
      assert.ok(tests.includes(`{alertname="${alert}", alertstate="firing"}`));
    });
  }

  test("the operator's guide has no section of an alert that does not exist", () => {
    const sections = [...guide.matchAll(/^### (Chihaya[A-Z]\w+)$/gm)].map(([, name]) => name);
    assert.deepEqual(sections.sort(), alerts.map(({ alert }) => alert).sort());
  });
});
