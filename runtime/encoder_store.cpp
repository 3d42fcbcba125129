#include "runtime/encoder_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"
#include "runtime/feature_file.h"

namespace chiasm {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kEnding = ".features", kUnfinished = ".part", kLock = "lock";

/// A descriptor that is closed again; negative where the file could not be opened.
class File {
 public:
  File(const fs::path& path, int flags)
      : number_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~File() {
    if (number_ >= 0) ::close(number_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int number() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_;
};

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(std::size_t(count));
  }
  return true;
}

/// A regular file of exactly `size` bytes; nothing for any other.
std::optional<std::string> read_all(int file, std::size_t size) {
  struct stat about {};
  if (::fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) return {};
  if (std::size_t(about.st_size) != size) return {};
  std::string bytes(size, '\0');
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::read(file, bytes.data() + done, size - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return {};
    done += std::size_t(count);
  }
  return bytes;
}

/// Whether there is no such file now.
bool remove_quietly(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  return !error;
}

/// The folder's lock, while this lives. Its file tells how many bytes the features take at most, so
/// that the folder need not be listed for each of them.
class FolderLock {
 public:
  /// Waits some milliseconds: an answer is worth more than what is kept of it.
  explicit FolderLock(const fs::path& folder) : file_(folder / kLock, O_RDWR | O_CREAT) {
    using namespace std::chrono_literals;
    if (!file_) error_ = errno;
    for (int attempt = 0; file_ && !held_ && attempt < 20; attempt++) {
      if (attempt > 0) std::this_thread::sleep_for(1ms);
      held_ = ::flock(file_.number(), LOCK_EX | LOCK_NB) == 0;
      error_ = held_ ? 0 : errno;
      if (!held_ && error_ != EWOULDBLOCK && error_ != EINTR) break;
    }
  }
  ~FolderLock() {
    // Closing alone would not do where another thread has forked meanwhile.
    if (held_) ::flock(file_.number(), LOCK_UN);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

  explicit operator bool() const { return held_; }
  /// Why it is not held: EWOULDBLOCK where another process has it, or what is worse.
  int error() const { return error_; }

  /// Nothing where it was never told, or damaged.
  std::optional<std::int64_t> total() const {
    char text[24];
    const ssize_t count = ::pread(file_.number(), text, sizeof(text), 0);
    std::int64_t bytes = 0;
    if (count < 1) return {};
    const auto [end, wrong] = std::from_chars(text, text + count, bytes);
    if (wrong != std::errc() || end == text + count || *end != '\n' || bytes < 0) return {};
    return bytes;
  }
  void tell_total(std::int64_t bytes) const {
    const std::string text = std::to_string(bytes) + "\n";
    // A total that could not be told is unknown, and the folder is listed next time.
    const auto length = ssize_t(text.size());
    if (::pwrite(file_.number(), text.data(), text.size(), 0) == length) return;
    [[maybe_unused]] const int ignored = ::ftruncate(file_.number(), 0);
  }

 private:
  File file_;
  bool held_ = false;
  int error_ = 0;
};

/// A file of features: its size, and when it was last used.
struct Kept {
  fs::file_time_type used;
  std::int64_t bytes;
  fs::path path;
};

bool is_ours(std::string_view name, std::string_view ending) {
  constexpr std::size_t kDigits = 32;
  return name.size() == kDigits + ending.size() && name.ends_with(ending) &&
         name.substr(0, kDigits).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// All features of the folder, least recently used first. Under the lock: what is unfinished then
/// was left behind by a process that is no more, and is removed. Other files are none of ours.
std::vector<Kept> list(const fs::path& folder) {
  std::vector<Kept> kept;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (is_ours(name, kUnfinished)) remove_quietly(at->path());
    if (!is_ours(name, kEnding)) continue;
    std::error_code gone;  // damaged, and removed by another process
    const auto bytes = std::int64_t(at->file_size(gone));
    if (gone) continue;
    const auto used = at->last_write_time(gone);
    if (!gone) kept.push_back({used, bytes, at->path()});
  }
  std::ranges::sort(kept, {}, &Kept::used);
  return kept;
}

/// RequestError where the folder is not there and cannot be made.
void make_folder(const fs::path& folder) {
  std::error_code error;
  if (fs::is_directory(folder, error)) return;
  if (folder.has_parent_path()) fs::create_directories(folder.parent_path(), error);
  if (!error && ::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    error = {errno, std::generic_category()};
  }
  std::error_code missing;
  if (fs::is_directory(folder, missing)) return;
  fail<RequestError>("encoder_cache_dir ", folder.string(),
                     ": cannot be made: ", error ? error.message() : "it is a file",
                     "; name another folder");
}

}  // namespace

EncoderStore::EncoderStore(fs::path folder, std::int64_t max_bytes, ContentHash model)
    : folder_(std::move(folder)), max_bytes_(max_bytes), model_(model) {
  if (max_bytes_ < kLeastBytes) {
    fail<RequestError>("encoder_cache_dir_bytes is ", max_bytes_, ", expected at least ",
                       kLeastBytes, ": a picture's features alone take up to some megabytes");
  }
  make_folder(folder_);
  const FolderLock lock(folder_);
  if (lock) {
    lock.tell_total(make_room(0));
  } else if (lock.error() != EWOULDBLOCK) {
    fail<RequestError>("encoder_cache_dir ", folder_.string(),
                       ": cannot be written: ", std::strerror(lock.error()),
                       "; name a folder that can be");
  }
}

fs::path EncoderStore::path_of(const EncoderCache::Key& key) const {
  return folder_ / (FeatureKey{model_, key}.name() + std::string(kEnding));
}

std::shared_ptr<const Tensor> EncoderStore::find(const EncoderCache::Key& key, std::int64_t width) {
  const FeatureKey whole{model_, key};
  const fs::path path = path_of(key);
  const File file(path, O_RDONLY);
  if (!file) return nullptr;
  std::optional<Tensor> features;
  if (const auto bytes = read_all(file.number(), feature_file_bytes(whole, width))) {
    features = parse_features(std::as_bytes(std::span(*bytes)), whole, width);
  }
  if (!features) {
    remove_quietly(path);
    return nullptr;
  }
  ::futimens(file.number(), nullptr);  // used now
  counts_.hits++;
  return std::make_shared<const Tensor>(std::move(*features));
}

void EncoderStore::touch(const EncoderCache::Key& key) const {
  ::utimensat(AT_FDCWD, path_of(key).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
}

void EncoderStore::put(const EncoderCache::Key& key, const Tensor& features) {
  (write(key, features) ? counts_.writes : counts_.failures)++;
}

/// Whether the features are there now.
bool EncoderStore::write(const EncoderCache::Key& key, const Tensor& features) const {
  const std::string header = feature_header({model_, key}, features);
  const std::int64_t size = std::int64_t(header.size() + features.bytes());
  const fs::path path = path_of(key), part = fs::path(path).replace_extension(kUnfinished);
  const FolderLock lock(folder_);
  if (!lock || size > max_bytes_) return false;
  std::error_code error;
  if (fs::exists(path, error)) return true;  // written by another process meanwhile
  std::optional<std::int64_t> total = lock.total();
  if (!total || *total + size > max_bytes_) total = make_room(size);
  if (*total + size > max_bytes_) return false;  // others' files that cannot be removed
  // Told before there is anything to count: whatever happens now, it is never too low.
  lock.tell_total(*total + size);
  remove_quietly(part);
  {
    const File file(part, O_WRONLY | O_CREAT | O_EXCL);
    const std::string_view rows(reinterpret_cast<const char*>(features.data()), features.bytes());
    // No fsync: after a loss of power the checksum tells what is whole.
    if (file && write_all(file.number(), header) && write_all(file.number(), rows)) {
      fs::rename(part, path, error);
      if (!error) return true;
    }
  }
  remove_quietly(part);
  lock.tell_total(*total);
  return false;
}

/// Under the lock: where `bytes` more would be too many, gives up the least recently used, and an
/// eighth besides, so that the folder is not listed for every new one. Returns the bytes that stay.
std::int64_t EncoderStore::make_room(std::int64_t bytes) const {
  const std::vector<Kept> kept = list(folder_);
  std::int64_t total = 0;
  for (const Kept& file : kept) total += file.bytes;
  if (total + bytes <= max_bytes_) return total;
  for (const Kept& file : kept) {
    if (total + bytes <= max_bytes_ - max_bytes_ / 8) break;
    if (remove_quietly(file.path)) total -= file.bytes;
  }
  return total;
}

}  // namespace chiasm
