# Call Scheduler
# SPDX-License-Identifier: Apache-2.0
"""The part of ops/check-containers that runs containers: run by it, as root, in a network namespace of its own."""

import atexit
import functools
import itertools
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

import yaml

program, folder = sys.argv[1], pathlib.Path(sys.argv[2])
DATABASE, BROKER = os.environ["TEST_DATABASE_URL"], os.environ["TEST_AMQP_URL"].rstrip("/")
MANAGEMENT = os.environ["TEST_AMQP_MANAGEMENT_URL"]
ACCOUNT = "AC" + "a" * 32
USER = re.findall(r"^USER (\d+)$", pathlib.Path("ops/docker/Dockerfile").read_text(), re.MULTILINE)[-1]
ENTRYPOINT = ["/usr/bin/call-scheduler"]
faults: list[str] = []
running: list["Container"] = []
numbers = itertools.count()

# The image: this host's programs and settings, read-only, and ours among them.
IMAGE = r"""
set -euo pipefail
folder=$1 program=$2 secrets=$3 at=$4 hosts=$5 work=$6 user=$7; shift 7
mount --make-rprivate /
image=$folder/image
mkdir -p "$image" && mount -t tmpfs -o mode=755 tmpfs "$image"
mkdir -p "$image"/{usr,etc,opt,proc,dev,tmp,run,work,secrets} "$folder/added/bin" && mkdir -p "$image$at"
cp -f "$program" "$folder/added/bin/call-scheduler.$$" && mv -f "$folder/added/bin/call-scheduler.$$" "$folder/added/bin/call-scheduler"
mount -t overlay overlay -o "lowerdir=$folder/added:/usr" "$image/usr"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$image/$name"; done
for name in etc opt; do mount --bind "/$name" "$image/$name" && mount -o remount,bind,ro "$image/$name"; done
if [[ -n $hosts ]]; then mount --bind "$hosts" "$image/etc/hosts"; fi
mount --bind "$secrets" "$image$at" && mount -o remount,bind,ro "$image$at"
if [[ -n $work ]]; then for place in $work; do mount -t tmpfs -o "mode=770,gid=$user" tmpfs "$image$place"; done; fi
mount -t proc proc "$image/proc"
for name in null zero random urandom; do touch "$image/dev/$name" && mount --bind "/dev/$name" "$image/dev/$name"; done
mount -o remount,ro "$image"
exec chroot "$image" setpriv --reuid "$user" --regid "$user" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
"""


def remove(group: pathlib.Path) -> None:
    """Takes a control group away, once its processes have ended."""
    for _ in range(100):
        try:
            return group.rmdir()
        except OSError:
            time.sleep(0.1)


@functools.cache
def memory_controller() -> tuple[pathlib.Path, str] | None:
    """Where a process can be given a limit of its memory, and by which file; nothing where this machine allows none."""
    for root, file in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = pathlib.Path(root) / f"call-scheduler-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / file).write_text(str(1 << 30))
            return pathlib.Path(root), file
        except OSError:
            pass
        finally:
            group.rmdir()
    print("  memory limits are only compared with what was used: no control group can be made here")
    return None


def memory_group(name: str, limit: str) -> pathlib.Path | None:
    """A control group that may use no more memory than this."""
    if not limit or not (controller := memory_controller()):
        return None
    group = controller[0] / f"call-scheduler-{os.getpid()}-{next(numbers)}-{name}"
    group.mkdir()
    atexit.register(remove, group)
    (group / controller[1]).write_text(str(int(limit.removesuffix("Mi")) << 20))
    return group


class Container:
    """A process as a container's runtime would start it."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], secrets: pathlib.Path, at: str,
                 limit: str = "", grace: int = 15, hosts: str = "", work: str = "", stdin=subprocess.DEVNULL):
        self.name, self.grace, self.limit = name, grace, limit
        self.log = folder / f"{name}.log"
        place = folder / name
        place.mkdir(exist_ok=True)
        group = memory_group(name, limit)
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--", "bash", "-c", IMAGE, name, str(place), program, str(secrets), at, hosts, work, USER,
             *command],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", **environment},
            stdin=stdin, stdout=self.log.open("ab"), stderr=subprocess.STDOUT,
            preexec_fn=group and (lambda: (group / "cgroup.procs").write_text("0")))
        running.append(self)

    def status(self) -> dict[str, str]:
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}

    def fault(self, text: str) -> None:
        faults.append(f"{self.name}: {text}\n{self.log.read_text()[-1500:]}")

    def wait(self) -> int:
        """Waits for a command that ends by itself."""
        code = self.process.wait(timeout=300)
        running.remove(self)
        if code != 0:
            self.fault(f"ended with {code}")
        return code

    def probe(self, path: str, port: str, seconds: float) -> bool:
        end = time.monotonic() + seconds * 10  # as patient as ten such machines
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                    return answer.status == 200
            except OSError:
                time.sleep(0.1)
        self.fault(f"{path} does not answer")
        return False

    def check_rights(self) -> None:
        status = self.status()
        if set(status["Uid"].split() + status["Gid"].split()) != {USER} or int(status["CapEff"], 16) or int(status["CapBnd"], 16):
            self.fault(f"runs as {status['Uid']} with capabilities {status['CapEff']}")
        if status["NoNewPrivs"] != "1":
            self.fault("may get more rights")

    def end(self) -> None:
        peak = int(self.status()["VmHWM"].split()[0]) // 1024
        if self.limit and peak >= int(self.limit.removesuffix("Mi")):
            self.fault(f"has used {peak} MiB of {self.limit}")
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=self.grace)
        except subprocess.TimeoutExpired:
            self.fault(f"did not end within its {self.grace} s")
            self.process.kill()
            code = self.process.wait()
        running.remove(self)
        if code not in (0, 128 + signal.SIGTERM):
            self.fault(f"ended with {code}")
        print(f"  {self.name}: at most {peak} MiB{' of ' + self.limit if self.limit else ''}, ended with {code} after "
              f"{time.monotonic() - start:.1f} s")


def shell(command: str) -> None:
    subprocess.run(["bash", "-c", "set -euo pipefail; " + command], check=True, stdout=subprocess.DEVNULL)


def secret(name: str, files: dict[str, str], mode: int) -> pathlib.Path:
    """A folder of secrets as files, which root owns and the containers' group may read."""
    place = folder / f"secrets-{name}"
    place.mkdir()
    for file, text in files.items():
        (place / file).write_text(text)
        os.chown(place / file, 0, int(USER))
        (place / file).chmod(mode)
    return place


def read(path: pathlib.Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir()}


def simulator(port: int) -> subprocess.Popen:
    return subprocess.Popen([program, "provider-simulator", "--port", str(port), "--account-sid", ACCOUNT, "--auth-token",
                             "secret", "--ring-seconds", "0.1-0.2", "--talk-seconds", "0.1-0.2"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def campaign(run, url: str) -> None:
    """Calls twenty people by the command line, which `run` runs in a container."""
    contacts = "phone_number\n" + "".join(f"+4420794600{index:02}\n" for index in range(20))
    run(["campaign", "create", "few", "--time-zone", "UTC", "--any-time", "--max-attempts", "1", "--caller-id", "+15005550006", "--answer-url",
         url + "/simulator/answer"], "")
    run(["contacts", "import", "/work/few.csv", "--campaign", "few"], contacts)
    run(["campaign", "start", "few"], "")
    for _ in range(600):
        if re.search(r"few +completed", run(["campaign", "list"], "")):
            return
        time.sleep(0.5)
    faults.append("twenty people were not called in time")


def kubernetes() -> None:
    config = yaml.safe_load(pathlib.Path("ops/kubernetes/production/kustomization.yaml").read_text())
    literals = dict(text.split("=", 1) for text in config["configMapGenerator"][0]["literals"])
    # What is an example there, and ports that the pods of a cluster need not share.
    literals |= {"TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_BASE_URL": "http://127.0.0.1:9180",
                 "WEBHOOK_PUBLIC_URL": "http://127.0.0.1:8080", "DIALER_CALLS_PER_SECOND": "50",
                 "SELECTOR_INTERVAL_SECONDS": "1"}
    pods = {}
    for path in sorted(pathlib.Path("ops/kubernetes/base").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document["kind"] in ("Deployment", "StatefulSet", "Job"):
                pods[document["metadata"]["name"]] = document["spec"]["template"]["spec"]

    def start(name: str, files: dict[str, str], health: str, command: list[str] | None = None, **others) -> tuple[Container, dict]:
        pod = pods[name]
        container, = pod["containers"]
        context = pod["securityContext"]
        if {str(context[key]) for key in ("runAsUser", "runAsGroup", "fsGroup")} != {USER}:
            faults.append(f"{name}: the user is not that of the image, {USER}")
        if container["securityContext"]["capabilities"] != {"drop": ["ALL"]}:
            faults.append(f"{name}: keeps capabilities")
        environment = dict(literals) if container.get("envFrom") else {}
        for variable in container["env"]:
            environment[variable["name"]] = variable.get("value", name + "-0")
        if health:
            environment["HEALTH_PORT"] = health
        mounted = {volume["name"]: volume for volume in pod["volumes"]}
        secrets = place = None
        work = []
        for mount in container["volumeMounts"]:
            if "secret" in mounted[mount["name"]]:
                place = mount["mountPath"]
                index = len(list(folder.glob(f"secrets-{name}*")))
                secrets = secret(f"{name}-{index}", files, int(str(mounted[mount["name"]]["secret"]["defaultMode"]), 10))
            else:
                work.append(mount["mountPath"])
        if command is None:
            command = container.get("command", ENTRYPOINT) + container.get("args", [])
        return Container(f"kubernetes-{name}", command, environment, secrets, place,
                         container.get("resources", {}).get("limits", {}).get("memory", ""),
                         pod.get("terminationGracePeriodSeconds", 30), work=" ".join(work), **others), container

    migrate, _ = start("migrate", {"database-url": DATABASE}, "")
    migrate.wait()
    (folder / "administrator").write_text(MANAGEMENT)
    secrets = folder / "users"
    shell(f"ops/make-users {shlex.quote(DATABASE)} {shlex.quote(BROKER + '/calls')} @{folder}/administrator {secrets}; "
          f"ops/rabbitmq/apply-policies @{folder}/administrator calls")
    for role in ("dialer", "webhooks"):
        (secrets / role / "auth-token").write_text("secret\n")
    provider = simulator(9180)
    try:
        roles = []
        for index, role in enumerate(("selector", "recorder", "webhooks", "dialer")):
            port = str(9091 + index)
            role, container = start(role, read(secrets / role), port)
            roles.append(role)
            probe = container["startupProbe"]
            role.probe(probe["httpGet"]["path"], port, probe["periodSeconds"] * probe["failureThreshold"])
            role.check_rights()
            for kind in ("livenessProbe", "readinessProbe"):
                role.probe(container[kind]["httpGet"]["path"], port, 30)

        def run(arguments: list[str], content: str) -> str:
            # The pod only sleeps; what is executed in it is started under the same conditions.
            script = 'if [ -n "$0" ]; then printf %s "$0" >/work/few.csv; fi; exec call-scheduler "$@"'
            command, _ = start("operator", read(secrets / "operator"), "", ["sh", "-c", script, content, *arguments])
            before = command.log.stat().st_size
            command.wait()
            return command.log.read_text()[before:]

        campaign(run, literals["TWILIO_BASE_URL"])
        sleeping, _ = start("operator", read(secrets / "operator"), "")
        while sleeping.process.poll() is None and sleeping.status()["Name"] != "sleep":
            time.sleep(0.1)
        sleeping.check_rights()
        sleeping.process.kill()
        sleeping.process.wait()
        running.remove(sleeping)
        for role in reversed(roles):
            role.end()
    finally:
        provider.kill()


def compose() -> None:
    services = {name: service for name, service in yaml.safe_load(pathlib.Path("ops/docker/compose.yml").read_text())[
        "services"].items() if service["image"] == "call-scheduler"}
    # The files that the compose file's remarks make, and then the addresses of this host's servers in them.
    shutil.copytree("ops", folder / "ops")
    shell(f"cd {folder}; mkdir ops/docker/secrets; for name in postgres rabbitmq provider; do openssl rand -hex 16 "
          ">ops/docker/secrets/$name; done; ops/docker/write-urls")
    files = read(folder / "ops/docker/secrets")
    shell(f"psql -XAqt -c 'create database compose' {shlex.quote(DATABASE)}")
    files["database-url"] = re.sub(r"/[^/?]*(\?|$)", r"/compose\1", DATABASE)
    files["amqp-url"] = BROKER + "/"
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost " + " ".join(services) + "\n")

    def start(name: str, health: str, **others) -> Container:
        service = services[name]
        if not (service["read_only"] and service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]):
            faults.append(f"compose, {name}: may do more than it needs")
        entry = [part.replace("$$", "$") for part in service.get("entrypoint", ENTRYPOINT)]
        environment = dict(service.get("environment", {}))
        if health and "HEALTH_PORT" in environment:
            environment["HEALTH_PORT"] = health
        wanted = {secret_name: files[secret_name] for secret_name in service["secrets"]}
        return Container(f"compose-{name}", entry + service.get("command", []), environment,
                         secret(f"compose-{name}-{time.monotonic_ns()}", wanted, 0o644), "/run/secrets", hosts=str(hosts), **others)

    start("migrate", "").wait()
    roles = [start("provider", "")]
    roles[0].probe("/health", "9100", 30)
    for index, name in enumerate(name for name in services if name not in ("migrate", "provider")):
        port = str(9191 + index)
        roles.append(start(name, port))
        roles[-1].probe("/health/ready", port, 60)
        roles[-1].check_rights()

    def run(arguments: list[str], content: str) -> str:
        (folder / "few.csv").write_text(content or "")
        arguments = [str(folder / "few.csv") if argument == "/work/few.csv" else argument for argument in arguments]
        answer = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, env={
            **os.environ, "DATABASE_URL": files["database-url"], "AMQP_URL": files["amqp-url"]})
        if answer.returncode != 0:
            faults.append(f"compose: {arguments}: {answer.stderr}{answer.stdout}")
        return answer.stdout

    campaign(run, services["selector"]["environment"]["TWILIO_BASE_URL"])
    for role in reversed(roles):
        role.end()


try:
    for part in (kubernetes, compose):
        print(part.__name__)
        part()
finally:
    for container in running:
        container.process.kill()
for fault in faults:
    print(fault, file=sys.stderr)
sys.exit(1 if faults else 0)
