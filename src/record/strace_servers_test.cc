// The recorder against strace: servers under load, as Debian ships them.
#include "record/testing_strace.h"

namespace pare::record {
namespace {

using testing::Bundle;

constexpr std::chrono::seconds kPatience{30};

// Needs CAP_NET_ADMIN; on a machine without a network the servers have lo alone.
constexpr const char* kLoopbackUp = R"c(
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int control = socket(AF_INET, SOCK_DGRAM, 0);
  if (ioctl(control, SIOCSIFFLAGS, &lo)) return 8;
  close(control);
)c";

class StraceServersTest : public testing::StraceTest {
 protected:
  // Names alone: servers end by ending their threads, some of them in a call that strace has seen
  // and the kernel has not begun.
  void SetUp() override {
    StraceTest::SetUp();
    exact_ = false;
    bundle_.capabilities = {"CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID"};
  }
  void serve(const std::string& command) {
    compare(kLoopbackUp + ("execl(\"/usr/bin/sh\", \"sh\", \"-c\", " + quoted(command) +
                           ", (char*)0);\nreturn 9;"),
            bundle_);
  }
  void needs(const char* program) {
    if (access(program, X_OK) != 0) PARE_SKIP(std::string(program) + " is not installed");
  }

  Bundle bundle_;
};

TEST_F(StraceServersTest, RedisUnderLoad) {
  needs("/usr/bin/redis-server");
  if (IsSkipped()) return;
  serve(
      "redis-server --save '' --dir /tmp --daemonize no >/tmp/log & "
      "until redis-cli ping >/dev/null 2>&1; do sleep 0.05; done; "
      "redis-benchmark -q -n 300 -c 8 -t set,get,incr,lpush >/dev/null; "
      "redis-cli bgsave >/dev/null; sleep 0.2; redis-cli shutdown nosave; wait");
}

TEST_F(StraceServersTest, NginxWithWorkers) {
  needs("/usr/sbin/nginx");
  if (IsSkipped()) return;
  serve(
      "echo root:x:0:0::/:/bin/sh >/etc/passwd; echo root:x:0: >/etc/group; "
      "echo 'user root; worker_processes 3; daemon off; pid /tmp/pid; error_log /tmp/errors; "
      "events {} http { access_log /tmp/access; client_body_temp_path /tmp/1; "
      "proxy_temp_path /tmp/2; fastcgi_temp_path /tmp/3; uwsgi_temp_path /tmp/4; "
      "scgi_temp_path /tmp/5; server { listen 8080; root /usr/share/doc; } }' >/tmp/conf; "
      "/usr/sbin/nginx -e /tmp/errors -c /tmp/conf & "
      "until curl -sf http://127.0.0.1:8080/base-files/copyright -o /dev/null; do sleep 0.05; "
      "done; curl -sZ 'http://127.0.0.1:8080/base-files/copyright?[1-200]' -o /dev/null; "
      "kill -HUP $!; sleep 0.2; curl -s http://127.0.0.1:8080/no -o /dev/null; kill -QUIT $!; "
      "wait");
}

TEST_F(StraceServersTest, NodeWithWorkersAndRequests) {
  needs("/usr/bin/node");
  if (IsSkipped()) return;
  serve(R"sh(exec node -e '
      const http = require("http"), fs = require("fs"), { Worker } = require("worker_threads");
      const server = http.createServer((q, r) => fs.readFile("/etc/x", () => r.end("ok")));
      server.listen(8080, "127.0.0.1", async () => {
        const get = () => new Promise((done) =>
          http.get("http://127.0.0.1:8080/", (r) => r.on("data", () => {}).on("end", done)));
        await Promise.all(Array.from({ length: 20 }, get));
        require("crypto").pbkdf2Sync("a", "b", 1000, 32, "sha256");
        require("child_process").execFileSync("true");
        const worker = new Worker("require(\"worker_threads\").parentPort.postMessage(1)",
          { eval: true });
        worker.on("exit", () => { server.close(); server.closeAllConnections(); });
      });')sh");
}

TEST_F(StraceServersTest, LlamaServerUnderLoad) {
  const std::string support = std::string(PARE_SOURCE_DIR) + "/tests/support";
  auto root = sys::run(sys::Command{{support + "/make_root"}}, std::chrono::seconds(200));
  if (!root || root->code != 0) PARE_SKIP("no root file system with llama-server could be made");
  testing::Scratch models;
  auto model =
      sys::run(sys::Command{{support + "/make_gguf.py", models.path() + "/tiny.gguf"}}, kPatience);
  ASSERT_TRUE(model && model->code == 0);
  usr_ = std::string(base::trim(root->out)) + "/usr";
  std::filesystem::permissions(models.path(), std::filesystem::perms(0755));
  bundle_.mounts.push_back({{"destination", "/data"},
                            {"type", "bind"},
                            {"source", models.path()},
                            {"options", {"bind", "ro"}}});
  serve(R"sh(
      llama-server -m /data/tiny.gguf --host 127.0.0.1 --port 8000 -c 512 -t 2 --parallel 2 \
        --no-warmup --no-webui >/tmp/log 2>&1 &
      ask() {
        perl -MIO::Socket::INET -e '
          my ($line, $body, $n) = @ARGV;
          for (1 .. $n) {
            next if fork;
            my $s = IO::Socket::INET->new("127.0.0.1:8000") or exit 1;
            print $s "$line HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ",
              length $body, "\r\n\r\n$body";
            my $status = <$s>;
            1 while <$s>;
            exit(($status // "") !~ / 200 /);
          }
          my $failed = 0;
          while (wait > 0) { $failed ||= $? }
          exit($failed != 0)' "$@"
      }
      until ask "GET /health" "" 1; do sleep 0.1; done
      ask "POST /v1/completions" '{"prompt": "once upon", "max_tokens": 8}' 4 || exit 7
      kill -TERM $!
      wait
      exit 0)sh");
}

}  // namespace
}  // namespace pare::record
