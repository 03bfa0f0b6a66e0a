# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The part of ops/check-deployment that compares: run by it, from the root, with the tools' Python."""

import json
import pathlib
import re
import subprocess
import sys

import yaml

faults: list[str] = []
text = {path: pathlib.Path(path).read_text() for path in (
    "Sources/CallScheduler/Settings/Setting.swift", "ops/prometheus/METRICS.md", "ops/docker/Dockerfile", "ops/lib.sh",
    "ops/docker/compose.yml", "ops/grafana/call-scheduler.json")}
settings = set(re.findall(r'name: "([A-Z_]+)"', text["Sources/CallScheduler/Settings/Setting.swift"]))
figures = set(re.findall(r"`(call_scheduler_[a-z_]+)`", text["ops/prometheus/METRICS.md"]))


def documents(path: pathlib.Path) -> list[dict]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def check_setting(place: str, name: str) -> None:
    if name not in settings and name.removesuffix("_FILE") not in settings:
        faults.append(f"{place}: there is no setting {name}")


# kustomize's lists: each file in one, each listed file there, and each setting known.
for kustomization in sorted(pathlib.Path("ops/kubernetes").glob("*/kustomization.yaml")):
    content = documents(kustomization)[0]
    listed = content.get("resources", [])
    for name in listed:
        if not (kustomization.parent / name).exists():
            faults.append(f"{kustomization}: {name} does not exist")
    for path in kustomization.parent.glob("*.yaml"):
        if path != kustomization and path.name not in listed:
            faults.append(f"{kustomization}: {path.name} is not listed")
    for generator in content.get("configMapGenerator", []):
        for literal in generator["literals"]:
            check_setting(str(kustomization), literal.split("=")[0])

workloads = set()
for path in sorted(pathlib.Path("ops/kubernetes/base").glob("*.yaml")):
    for document in documents(path):
        if document["kind"] not in ("Deployment", "StatefulSet", "Job"):
            continue
        workloads.add(document["metadata"]["name"])
        pod = document["spec"]["template"]["spec"]
        if not pod["securityContext"].get("runAsNonRoot"):
            faults.append(f"{path}: a container may run as root")
        for container in pod["containers"]:
            if not container["securityContext"].get("readOnlyRootFilesystem"):
                faults.append(f"{path}: a root file system can be written")
            for variable in container.get("env", []):
                check_setting(str(path), variable["name"])
if workloads != {"selector", "dialer", "recorder", "webhooks", "operator", "migrate"}:
    faults.append(f"ops/kubernetes/base: the workloads are {sorted(workloads)}")

# The autoscaler asks for what the adapter tells, and the adapter for figures that exist.
rules = documents(pathlib.Path("ops/kubernetes/adapter-rule.yaml"))[0]["rules"]["external"]
told = {rule["name"]["as"] for rule in rules}
for rule in rules:
    for name in re.findall(r"call_scheduler_[a-z_]+", rule["seriesQuery"] + " " + rule["metricsQuery"]):
        if name not in figures:
            faults.append(f"ops/kubernetes/adapter-rule.yaml: there is no figure {name}")
scalers = [document for document in documents(pathlib.Path("ops/kubernetes/base/dialer.yaml"))
           if document["kind"] == "HorizontalPodAutoscaler"]
asked = {metric["external"]["metric"]["name"] for scaler in scalers for metric in scaler["spec"]["metrics"]}
if not asked or not asked <= told:
    faults.append(f"ops/kubernetes/base/dialer.yaml: nobody tells the autoscaler {sorted(asked - told)}")

compose = yaml.safe_load(text["ops/docker/compose.yml"])
for name, service in compose["services"].items():
    if service["image"] == "call-scheduler":
        for variable in service.get("environment", {}):
            check_setting(f"ops/docker/compose.yml, {name}", variable)
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith(".") and "secrets/" not in source and not (pathlib.Path("ops/docker") / source).exists():
            faults.append(f"ops/docker/compose.yml, {name}: {source} does not exist")
for name, secret in compose["secrets"].items():
    if not secret["file"].startswith("./secrets/"):
        faults.append(f"ops/docker/compose.yml: the secret {name} is not in ./secrets")

# The Dockerfile: what is copied exists, what is installed is what the scripts install, and nobody runs as root.
dockerfile = text["ops/docker/Dockerfile"]
for line in re.findall(r"^COPY (?!--from)(.*)$", dockerfile, re.MULTILINE):
    for source in line.split()[:-1]:
        if not pathlib.Path(source).exists():
            faults.append(f"ops/docker/Dockerfile: {source} does not exist")
installed = text["ops/lib.sh"].split("install_everything()")[1]
for package in re.findall(r"\blib[a-z]+-dev\b", dockerfile.split("FROM debian")[0]):
    if package not in installed:
        faults.append(f"ops/docker/Dockerfile: {package} is not what ops/lib.sh installs")
users = re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE)
if not users or not users[-1].isdigit() or users[-1] == "0":
    faults.append("ops/docker/Dockerfile: USER must be a number other than 0, for runAsNonRoot")
if not dockerfile.count("rm -rf /var/lib/apt/lists") == dockerfile.count("apt-get update"):
    faults.append("ops/docker/Dockerfile: a layer keeps the package lists")

# The oldest Swift that will do is stated by the package, and told by the README alone.
oldest = re.match(r"// swift-tools-version: *(\S+)", pathlib.Path("Package.swift").read_text()).group(1)
for path in ("README.md", "CONTRIBUTING.md", "ops/lib.sh"):
    for told in re.findall(r"Swift (\d+\.\d+)", pathlib.Path(path).read_text()):
        if path != "README.md" or told != oldest:
            faults.append(f"{path}: says Swift {told}; Package.swift says {oldest}, and README.md tells it")

# The cluster's Prometheus: Debian's knows no Kubernetes, so that its targets are replaced before it reads the rest. The alerts go by
# the job's name and the label `role`.
scraping = documents(pathlib.Path("ops/kubernetes/prometheus-scrape.yml"))[0]
for job in scraping["scrape_configs"]:
    del job["kubernetes_sd_configs"]
configuration = pathlib.Path(".local/prometheus-scrape.yml")
configuration.write_text(yaml.safe_dump(scraping))
answer = subprocess.run(["promtool", "check", "config", str(configuration)], capture_output=True, text=True, check=False)
configuration.unlink()
if answer.returncode != 0:
    faults.append(f"ops/kubernetes/prometheus-scrape.yml: {answer.stderr or answer.stdout}")
jobs = [job["job_name"] for job in scraping["scrape_configs"]]
labels = {rule.get("target_label") for job in scraping["scrape_configs"] for rule in job["relabel_configs"]}
if jobs != ["call-scheduler"] or "role" not in labels:
    faults.append("ops/kubernetes/prometheus-scrape.yml: the alerts know a job call-scheduler with a label role")

# Every image has a tag that names a version.
for path in [*pathlib.Path("ops/kubernetes").glob("*/*.yaml"), pathlib.Path("ops/docker/compose.yml")]:
    for image in re.findall(r"image: *(\S+)", path.read_text()):
        if image != "call-scheduler" and not re.search(r":v?\d", image):
            faults.append(f"{path}: {image} has no version")
production = documents(pathlib.Path("ops/kubernetes/production/kustomization.yaml"))[0]
if any(not re.fullmatch(r"\d+\.\d+\.\d+", image["newTag"]) for image in production["images"]):
    faults.append("ops/kubernetes/production: the image's tag is no version")

# The dashboard: figures that exist, queries that Prometheus can read.
dashboard = json.loads(text["ops/grafana/call-scheduler.json"])
queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
for query in queries:
    for name in re.findall(r"call_scheduler_[a-z_]+", query):
        if name not in figures and re.sub(r"_(bucket|sum|count)$", "", name) not in figures:
            faults.append(f"ops/grafana/call-scheduler.json: there is no figure {name}")
rules = pathlib.Path(".local/dashboard-rules.yml")
rules.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": [
    {"record": f"dashboard:{index}", "expr": query} for index, query in enumerate(queries)]}]}))
answer = subprocess.run(["promtool", "check", "rules", str(rules)], capture_output=True, text=True, check=False)
rules.unlink()
if answer.returncode != 0:
    faults.append(f"ops/grafana/call-scheduler.json: {answer.stderr or answer.stdout}")
if len(queries) < 20 or any(not panel.get("description") for panel in dashboard["panels"] if panel["type"] != "row"):
    faults.append("ops/grafana/call-scheduler.json: a panel says nothing about when to worry")

for fault in faults:
    print(fault, file=sys.stderr)
sys.exit(1 if faults else 0)
