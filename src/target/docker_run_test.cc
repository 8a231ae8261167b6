#include "target/docker_run.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

namespace pare::target {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Environment& environment() {
  static const Environment kEnvironment = {{"HF_TOKEN", "hf_123"}, {"MODE", "fast"}, {"EMPTY", ""}};
  return kEnvironment;
}

// Words are split at blanks: the shell is not what is tested.
Result<Target> parse(const std::string& line) {
  std::vector<std::string> words;
  for (std::string& word : base::split(line, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  return parse_docker_run(words, environment());
}

std::string ports_of(const Target& target) {
  std::vector<std::string> all;
  for (const PublishedPort& p : target.ports) {
    all.push_back(p.host_address + "|" + std::to_string(p.host_port) + "|" +
                  std::to_string(p.port) + "/" + p.protocol);
  }
  return base::join(all, " ");
}

std::string volumes_of(const Target& target) {
  std::vector<std::string> all;
  for (const Volume& v : target.volumes) {
    all.push_back((v.named ? "volume " : "") + v.source + ">" + v.path +
                  (v.read_only ? " ro" : ""));
  }
  return base::join(all, ", ");
}

std::string env_of(const Target& target) {
  std::vector<std::string> all;
  for (const EnvVar& e : target.env) {
    all.push_back(e.name + "=" + e.value + (e.secret ? " (secret)" : ""));
  }
  return base::join(all, ", ");
}

std::string kept_of(const Target& target) {
  std::vector<std::string> all;
  for (const KeptOption& k : target.kept) all.push_back(k.option + "=" + k.value);
  return base::join(all, " ");
}

std::string yes(bool value) {
  return value ? "yes" : "no";
}

struct Case {
  const char* options;
  std::string (*field)(const Target&);
  std::string expected;
};

const Case kCases[] = {
    {"-v /models:/m", volumes_of, "/models>/m"},
    {"-v/models:/m:ro", volumes_of, "/models>/m ro"},
    {"--volume=/a/../b/:/m/:rw,z", volumes_of, "/b>/m"},
    {"--volume cache:/c", volumes_of, "volume cache>/c"},
    {"-v /scratch", volumes_of, ">/scratch"},
    {"--mount type=bind,source=/a,target=/b,readonly", volumes_of, "/a>/b ro"},
    {"--mount type=bind,src=/a,dst=/b,readonly=false", volumes_of, "/a>/b"},
    {"--mount source=cache,destination=/b", volumes_of, "volume cache>/b"},
    {"--mount type=bind,\"src=/a,b\",dst=/b", volumes_of, "/a,b>/b"},
    {"--mount type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770",
     [](const Target& t) { return t.tmpfs[0] + ":" + t.tmpfs_options.at("/t"); },
     "/t:size=67108864,mode=1770"},
    {"--tmpfs /run:exec,size=64m --tmpfs /tmp/",
     [](const Target& t) {
       return base::join(t.tmpfs, " ") + " " + t.tmpfs_options.at("/run") + " " +
              std::to_string(t.tmpfs_options.size());
     },
     "/run /tmp exec,size=64m 1"},

    {"-p 8000", ports_of, "|0|8000/tcp"},
    {"-p8000:80", ports_of, "|8000|80/tcp"},
    {"-p=8000:80", ports_of, "|8000|80/tcp"},
    {"--publish 127.0.0.1:8000:80/udp", ports_of, "127.0.0.1|8000|80/udp"},
    {"-p 127.0.0.1::80", ports_of, "127.0.0.1|0|80/tcp"},
    {"-p [::1]:8000:80", ports_of, "::1|8000|80/tcp"},
    {"-p 8000-8002:9000-9002", ports_of, "|8000|9000/tcp |8001|9001/tcp |8002|9002/tcp"},
    {"-p 8000-8002:80", ports_of, "|8000|80/tcp"},
    {"-p 1-2 -p 5:5/sctp", ports_of, "|0|1/tcp |0|2/tcp |5|5/sctp"},
    {"--expose 8000-8001/udp -P",
     [](const Target& t) { return base::join(t.expose, " ") + " " + yes(t.publish_all); },
     "8000/udp 8001/udp yes"},

    {"-e A=1 --env B= -eC=x=y -e A=2", env_of, "A=2, B=, C=x=y"},
    {"-e MODE -e EMPTY", env_of, "MODE=fast, EMPTY="},
    {"-e HF_TOKEN -e NGC_API_KEY=nvapi", env_of,
     "HF_TOKEN=hf_123 (secret), NGC_API_KEY=nvapi (secret)"},

    {"-u 1000:1000", [](const Target& t) { return t.user; }, "1000:1000"},
    {"--user=triton-server", [](const Target& t) { return t.user; }, "triton-server"},
    {"--group-add 44 --group-add video",
     [](const Target& t) {
       return std::to_string(t.group_add.at(0)) + " " + t.group_add_names.at(0);
     },
     "44 video"},
    {"--cap-add CAP_SYS_PTRACE --cap-add=net_raw --cap-drop all",
     [](const Target& t) { return base::join(t.cap_add, " ") + "-" + base::join(t.cap_drop, " "); },
     "CAP_SYS_PTRACE net_raw-all"},
    {"--privileged --read-only --init=false --rm=true",
     [](const Target& t) { return yes(t.privileged) + yes(t.read_only_rootfs) + yes(t.init); },
     "yesyesno"},
    {"-itd", [](const Target& t) { return yes(t.tty) + yes(t.open_stdin) + " " + kept_of(t); },
     "yesyes --detach=true"},
    {"-ti -p 80", [](const Target& t) { return yes(t.tty) + ports_of(t); }, "yes|0|80/tcp"},
    {"-itp 80:81", ports_of, "|80|81/tcp"},
    {"--shm-size=16GB", [](const Target& t) { return std::to_string(*t.shm_bytes); },
     "17179869184"},
    {"--shm-size 1.5g", [](const Target& t) { return std::to_string(*t.shm_bytes); }, "1610612736"},
    {"--shm-size 64MiB", [](const Target& t) { return std::to_string(*t.shm_bytes); }, "67108864"},
    {"--shm-size 100", [](const Target& t) { return std::to_string(*t.shm_bytes); }, "100"},
    {"--security-opt no-new-privileges", [](const Target& t) { return yes(t.no_new_privileges); },
     "yes"},
    {"--security-opt no-new-privileges:true",
     [](const Target& t) { return yes(t.no_new_privileges); }, "yes"},
    {"--security-opt=no-new-privileges=false",
     [](const Target& t) { return yes(t.no_new_privileges); }, "no"},
    {"--security-opt seccomp=unconfined",
     [](const Target& t) { return yes(t.seccomp_unconfined) + t.seccomp_file; }, "yes"},
    {"--security-opt seccomp=/p.json",
     [](const Target& t) { return yes(t.seccomp_unconfined) + t.seccomp_file; }, "no/p.json"},
    {"--security-opt apparmor=unconfined --security-opt label:disable",
     [](const Target& t) { return base::join(t.lsm_options, " "); },
     "apparmor=unconfined label=disable"},
    {"--network=host", [](const Target& t) { return t.network; }, "host"},
    {"--net none", [](const Target& t) { return t.network; }, "none"},
    {"--network name=front,alias=x", [](const Target& t) { return t.network; }, "front"},
    {"--network default", [](const Target& t) { return t.network; }, ""},
    {"--entrypoint /bin/serve", [](const Target& t) { return base::join(t.entrypoint, ","); },
     "/bin/serve"},
    {"-w /srv", [](const Target& t) { return t.workdir; }, "/srv"},
    {"--gpus all --runtime=nvidia", [](const Target& t) { return t.gpus + " " + t.runtime; },
     "all nvidia"},
    {"--name nim", [](const Target& t) { return t.name; }, "nim"},
    {"--ulimit memlock=-1 --ulimit nofile=1024:4096 --ulimit nofile=5",
     [](const Target& t) {
       std::vector<std::string> all;
       for (const Ulimit& u : t.ulimits) {
         all.push_back(u.name + " " + std::to_string(u.soft) + " " + std::to_string(u.hard));
       }
       return base::join(all, ", ");
     },
     "memlock -1 -1, nofile 5 5"},
    {"--pids-limit 100", [](const Target& t) { return std::to_string(t.pids_limit.value_or(0)); },
     "100"},
    {"--pids-limit=-1", [](const Target& t) { return std::to_string(t.pids_limit.value_or(0)); },
     "0"},
    {"--init --ipc host --pid=host --uts host",
     [](const Target& t) {
       return yes(t.init) + yes(t.host_ipc) + yes(t.host_pid) + yes(t.host_uts);
     },
     "yesyesyesyes"},
    {"--ipc private", [](const Target& t) { return yes(t.host_ipc); }, "no"},
    {"--device /dev/fuse --device=nvidia.com/gpu=all",
     [](const Target& t) { return base::join(t.devices, " "); }, "/dev/fuse nvidia.com/gpu=all"},
    {"--sysctl net.core.somaxconn=1024",
     [](const Target& t) { return t.sysctls.at("net.core.somaxconn"); }, "1024"},
    {"-m 8g --cpus=2 -h box --restart=always --pull always -l a=b --platform linux/amd64", kept_of,
     "--memory=8g --cpus=2 --hostname=box --restart=always --pull=always --label=a=b "
     "--platform=linux/amd64"},
};

TEST(DockerRun, EveryOptionLandsInItsField) {
  for (const Case& c : kCases) {
    auto target = parse(std::string("docker run ") + c.options + " repo/image:tag serve --port 1");
    ASSERT_TRUE(target) << c.options << ": " << target.error().message;
    EXPECT_EQ(c.field(*target), c.expected) << c.options;
    EXPECT_EQ(target->image, "repo/image:tag") << c.options;
    EXPECT_THAT(target->command, ElementsAre("serve", "--port", "1")) << c.options;
    EXPECT_EQ(target->kind, Kind::kImage);
  }
}

TEST(DockerRun, TakesTheWaysToBeginALine) {
  for (const char* line :
       {"docker run x", "podman run x", "nerdctl run x", "docker container run x",
        "/usr/bin/docker run x", "sudo docker run x", "sudo -E docker run x",
        "sudo -E HF_HOME=/x docker run x", "docker run -- x"}) {
    auto target = parse(line);
    ASSERT_TRUE(target) << line << ": " << target.error().message;
    EXPECT_EQ(target->image, "x") << line;
    EXPECT_NE(target->written.at(0), "sudo") << line;
  }
  EXPECT_FALSE(is_docker_run({"serve", "run"}));
  EXPECT_FALSE(is_docker_run({"docker", "ps"}));
  EXPECT_FALSE(is_docker_run({}));
}

TEST(DockerRun, DerivesANameFromTheImage) {
  EXPECT_EQ(parse("docker run nvcr.io/nvidia/Triton_Server:24.01-py3")->name, "triton-server");
  EXPECT_EQ(parse("docker run host:5000/llama@sha256:abc")->name, "llama");
  EXPECT_EQ(parse("docker run _")->name, "target");
}

// What is refused, and the words that its sentence has to hold.
const std::pair<const char*, std::vector<const char*>> kRefused[] = {
    {"--cap-ad X image", {"--cap-ad ", "did you mean --cap-add?"}},
    {"-Z image", {"option -Z "}},
    {"--volumes-from other image", {"--volumes-from", "name each volume with -v"}},
    {"--pid=container:master image", {"--pid", "another container"}},
    {"--network container:x image", {"--network", "another container"}},
    {"--cap-add NET_RAWW image", {"--cap-add", "NET_RAWW"}},
    {"-p 99999 image", {"--publish", "99999"}},
    {"-p 1-3:1-2 image", {"--publish", "different lengths"}},
    {"-p ::1:80:80 image", {"--publish", "brackets"}},
    {"-p 80/icmp image", {"--publish", "icmp"}},
    {"-v ~:/scripts image", {"--volume", "~"}},
    {"-v relative/path:/x image", {"--volume", "relative/path"}},
    {"-v /a:b image", {"--volume", "'b' is not an absolute path"}},
    {"-v /a:/b:shared image", {"--volume", "shared"}},
    {"-v /a:/ image", {"--volume", "/"}},
    {"-v /a:/b -v /c:/b image", {"two things at /b"}},
    {"--mount type=bind,dst=/b image", {"--mount", "source="}},
    {"--mount type=bind,sorce=/a,dst=/b image", {"--mount", "did you mean source?"}},
    {"--mount type=volume,src=/a,dst=/b image", {"--mount", "type=volume"}},
    {"-e UNSET_KEY image", {"--env", "UNSET_KEY is not set"}},
    {"-e =x image", {"--env", "names no variable"}},
    {"--env-file /nonexistent/env image", {"--env-file", "/nonexistent/env"}},
    {"--shm-size lots image", {"--shm-size", "lots"}},
    {"--shm-size 1bb image", {"--shm-size", "1bb"}},
    {"--shm-size 99999999p image", {"--shm-size", "too large"}},
    {"--ulimit memlock image", {"--ulimit", "NAME=SOFT"}},
    {"--ulimit nofile=5:4 image", {"--ulimit", "above"}},
    {"--security-opt systempaths=unconfined image", {"--security-opt", "systempaths"}},
    {"--pids-limit many image", {"--pids-limit", "many"}},
    {"--privileged=maybe image", {"--privileged", "maybe"}},
    {"--ipc none image", {"--ipc", "none"}},
    {"--sysctl x image", {"--sysctl", "NAME=VALUE"}},
    {"--device fuse image", {"--device", "fuse"}},
    {"--rm", {"names no image"}},
    {"--name", {"--name lacks its value"}},
};

TEST(DockerRun, RefusesByTheOptionsNameWithARemedy) {
  for (const auto& [options, parts] : kRefused) {
    auto target = parse(std::string("docker run ") + options);
    ASSERT_FALSE(target) << options;
    EXPECT_EQ(target.error().kind, ErrorKind::kUsage) << options;
    for (const char* part : parts) {
      EXPECT_THAT(target.error().message, HasSubstr(part)) << options;
    }
  }
  EXPECT_THAT(parse("docker --context x run image").error().message, HasSubstr("docker run line"));
}

TEST(DockerRun, WrittenWordsHoldNoSecret) {
  auto target = parse(
      "sudo docker run -e NGC_API_KEY=s3cret -eHF_TOKEN=s3cret --env=A_SECRET=s3cret "
      "-e MODE=fast image");
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_THAT(target->written, ElementsAre("docker", "run", "-e", "NGC_API_KEY", "-eHF_TOKEN",
                                           "--env=A_SECRET", "-e", "MODE=fast", "image"));
  EXPECT_EQ(to_json(*target, privilege::Policy{}).dump().find("s3cret"), std::string::npos);
}

TEST(DockerRun, EnvFileIsReadAsDockerReadsIt) {
  auto env = parse_env_file(
      "\xEF\xBB\xBF# comment\nA=1\r\n\n  B=\"quoted\" # kept\nMODE\nAPI_KEY=x\nA=2\n", "f.env",
      environment());
  ASSERT_TRUE(env) << env.error().message;
  Target target;
  target.env = *env;
  EXPECT_EQ(env_of(target), "A=2, B=\"quoted\" # kept, MODE=fast, API_KEY=x (secret)");
  EXPECT_THAT(parse_env_file("A=1\nUNSET\n", "f.env", {}).error().message,
              HasSubstr("f.env:2: variable UNSET is not set"));
  EXPECT_THAT(parse_env_file("A B=1\n", "f.env", {}).error().message, HasSubstr("f.env:1: "));
}

TEST(DockerRun, EnvWinsOverEnvFileWhereverItStands) {
  std::string path = testing::TempDir() + "pare-env-" + std::to_string(getpid());
  ASSERT_TRUE(base::write_file_atomic(path, "A=file\nB=file\n"));
  auto target = parse("docker run -e A=line --env-file " + path + " image");
  std::filesystem::remove(path);
  ASSERT_TRUE(target) << target.error().message;
  EXPECT_EQ(env_of(*target), "A=line, B=file");
}

TEST(DockerRun, AnEmptyEntrypointIsKept) {
  auto target = parse_docker_run({"docker", "run", "--entrypoint", "", "image", "ls"}, {});
  ASSERT_TRUE(target);
  EXPECT_THAT(target->entrypoint, ElementsAre(""));
  EXPECT_THAT(target->kept, IsEmpty());
}

TEST(DockerRun, TmpfsExecIsAsked) {
  auto target = parse("docker run --tmpfs /a:exec --tmpfs /b:size=1m image");
  ASSERT_TRUE(target);
  auto asked = asked_policy(*target, privilege::find_platform("docker").value());
  ASSERT_EQ(asked.writable.size(), 2u);
  EXPECT_TRUE(asked.writable[0].exec);
  EXPECT_FALSE(asked.writable[1].exec);
}

std::string variable(const std::string& name) {
  if (name == "PWD" || name == "HOME") return "/home/u";
  return name.find("PORT") != std::string::npos ? "5001" : "x1";
}

// As far as the fixtures need a shell: quotes, variables, a tilde in front of a slash.
std::vector<std::string> shell_words(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool open = false;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (c == '$' && quote != '\'') {
      size_t end = line.compare(i, 2, "${") == 0
                       ? line.find('}', i)
                       : line.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_", i + 1) - 1;
      std::string name = line.substr(i + 1, end - i);
      if (name[0] == '{') name = name.substr(1, name.size() - 2);
      i = std::min(end, line.size() - 1);
      word += variable(name);
      open = true;
    } else if (!open && line.compare(i, 2, "~/") == 0) {
      word += "/home/u";
      open = true;
    } else if (quote != 0 ? c == quote : c == '\'' || c == '"') {
      quote = quote != 0 ? '\0' : c;
      open = true;
    } else if (quote == 0 && (c == ' ' || c == '\n')) {
      if (open) words.push_back(std::exchange(word, ""));
      open = false;
    } else {
      word += c;
      open = true;
    }
  }
  if (open) words.push_back(word);
  return words;
}

std::vector<std::string> fixture_lines(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  std::string line;
  bool goes_on = false;
  while (std::getline(file, line)) {
    if (line.empty() || line[0] == '#') continue;
    if (base::starts_with(line, "$ ")) line.erase(0, 2);
    if (goes_on) {
      lines.back() += " " + line;
    } else {
      lines.push_back(line);
    }
    goes_on = base::ends_with(line, "\\");
    if (goes_on) lines.back().pop_back();
  }
  return lines;
}

TEST(DockerRun, PublicLinesParseOrAreRefusedByOption) {
  std::string directory = std::string(PARE_SOURCE_DIR) + "/../shared/fixtures/docker-run";
  if (!std::filesystem::is_directory(directory)) {
    GTEST_SKIP() << directory << " is absent: it holds docker run lines of public projects";
  }
  Environment caller = {{"HF_TOKEN", "x"}};
  int parsed = 0;
  std::multiset<std::string> refused;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    for (const std::string& line : fixture_lines(entry.path())) {
      auto target = parse_docker_run(shell_words(line), caller);
      if (target) {
        ++parsed;
        EXPECT_FALSE(target->image.empty()) << line;
      } else {
        EXPECT_THAT(target.error().message, HasSubstr("docker run option --")) << line;
        refused.insert(target.error().message);
      }
    }
  }
  EXPECT_EQ(parsed, 22);
  // -v ~:/scripts (the shell leaves that tilde alone) and --pid=container:master.
  EXPECT_EQ(refused.size(), 2u) << testing::PrintToString(refused);
}

}  // namespace
}  // namespace pare::target
