// Features kept in a folder: what is found after a restart, what goes first, and that neither
// damaged files nor other processes do harm.
#include "runtime/encoder_store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <set>

#include "core/error.h"
#include "tests/support/expect_error.h"
#include "tests/support/features.h"
#include "tests/support/temp_folder.h"

namespace chiasm {
namespace {

namespace fs = std::filesystem;
using testing::feature_bytes;
using testing::random_features;
using testing::TempFolder;
using testing::throws;

constexpr ContentHash kModel{0x1234, 0x5678};
constexpr std::int64_t kLeast = EncoderStore::kLeastBytes, kTokens = 250, kWidth = 64;
/// Of one medium's features: sixteen fit below the least bound, fourteen below seven eighths of it.
constexpr std::int64_t kSize = std::int64_t(kFeatureHeaderBytes) + kTokens * kWidth * 4;
static_assert(16 * kSize <= kLeast && 17 * kSize > kLeast && 14 * kSize <= kLeast - kLeast / 8);

EncoderCache::Key key(std::uint64_t medium) { return {{medium, ~medium}, kTokens}; }
Tensor features(std::uint64_t medium) { return random_features(medium, kTokens, kWidth); }

/// Whether the features of `medium` are found, and its own.
bool finds(EncoderStore& store, std::uint64_t medium) {
  const auto found = store.find(key(medium), kWidth);
  return found && testing::same(*found, features(medium));
}

std::string name_of(std::uint64_t medium) {
  return FeatureKey{kModel, key(medium)}.name() + ".features";
}

/// Bytes of all files but the lock.
std::int64_t all_bytes(const fs::path& folder) {
  std::int64_t total = 0;
  std::error_code gone;
  for (fs::directory_iterator at(folder, gone), end; !gone && at != end; at.increment(gone)) {
    std::error_code missing;
    const auto bytes = at->file_size(missing);
    if (!missing && at->path().filename() != "lock") total += std::int64_t(bytes);
  }
  return total;
}

TEST(EncoderStore, OutlivesItsProcess) {
  const TempFolder temp;
  const fs::path folder = temp.path() / "a" / "b";
  EncoderStore(folder, kLeast, kModel).put(key(1), features(1));
  EncoderStore later(folder, kLeast, kModel);
  EXPECT_TRUE(finds(later, 1));
  EXPECT_FALSE(finds(later, 2));
  EXPECT_EQ(later.find({key(1).hash, kTokens + 1}, kWidth), nullptr) << "cut otherwise";
  EXPECT_EQ(later.counts().hits, 1);
  EncoderStore other(folder, kLeast, {kModel.high, kModel.low + 1});
  EXPECT_EQ(other.find(key(1), kWidth), nullptr) << "of another model";
  EXPECT_TRUE(finds(later, 1)) << "which harms nobody's";
  const auto others = fs::perms::group_all | fs::perms::others_all;
  for (const fs::path& path : {folder, folder / name_of(1), folder / "lock"}) {
    EXPECT_EQ(fs::status(path).permissions() & others, fs::perms::none) << path;
  }
}

TEST(EncoderStore, GivesUpTheLeastRecentlyUsed) {
  const TempFolder folder;
  EncoderStore store(folder.path(), kLeast, kModel);
  const auto now = fs::file_time_type::clock::now();
  for (std::uint64_t i = 0; i < 16; i++) {
    store.put(key(i), features(i));
    fs::last_write_time(folder.path() / name_of(i), now - std::chrono::minutes(60 - i));
  }
  EXPECT_EQ(all_bytes(folder.path()), 16 * kSize);
  EXPECT_TRUE(finds(store, 0));  // the oldest is used
  store.touch(key(2));
  store.touch(key(999));  // not there: nothing happens
  store.put(key(16), features(16));
  for (const std::uint64_t i : {1, 3, 4}) EXPECT_FALSE(finds(store, i)) << i;
  for (const std::uint64_t i : {0, 2, 5, 15, 16}) EXPECT_TRUE(finds(store, i)) << i;
  EXPECT_EQ(all_bytes(folder.path()), 14 * kSize);
  EXPECT_EQ(store.counts().writes, 17);
  EXPECT_EQ(store.counts().failures, 0);
}

TEST(EncoderStore, ALowerBoundHoldsFromTheStart) {
  const TempFolder folder;
  {
    EncoderStore roomy(folder.path(), 2 * kLeast, kModel);
    for (std::uint64_t i = 0; i < 30; i++) roomy.put(key(i), features(i));
  }
  const EncoderStore store(folder.path(), kLeast, kModel);
  EXPECT_LE(all_bytes(folder.path()), kLeast);
}

TEST(EncoderStore, KeepsNothingOverItsBound) {
  const TempFolder folder;
  EncoderStore store(folder.path(), kLeast, kModel);
  store.put(key(1), features(1));
  const EncoderCache::Key large{{2, 3}, 5000};
  store.put(large, random_features(2, 5000, kWidth));
  EXPECT_EQ(store.find(large, kWidth), nullptr);
  EXPECT_EQ(store.counts().failures, 1);
  EXPECT_TRUE(finds(store, 1)) << "nothing goes for what cannot be kept";
}

TEST(EncoderStore, WhatIsThereIsNotWrittenAgain) {
  const TempFolder folder;
  EncoderStore one(folder.path(), kLeast, kModel), other(folder.path(), kLeast, kModel);
  one.put(key(1), features(1));
  const auto before = fs::last_write_time(folder.path() / name_of(1));
  other.put(key(1), features(1));
  EXPECT_EQ(fs::last_write_time(folder.path() / name_of(1)), before);
  EXPECT_EQ(other.counts().failures, 0);
}

TEST(EncoderStore, RefusesFoldersThatItCannotUse) {
  const TempFolder folder;
  folder.write("file", "x");
  const auto at = [&](const fs::path& path, std::int64_t bytes = kLeast) {
    return [=] { EncoderStore(path, bytes, kModel); };
  };
  EXPECT_TRUE(throws<RequestError>(at(folder.path() / "file"),
                                   {"encoder_cache_dir", "file: cannot be made", "it is a file"}));
  EXPECT_TRUE(throws<RequestError>(at(folder.path() / "file" / "b"),
                                   {"encoder_cache_dir", "cannot be made", "name another"}));
  EXPECT_TRUE(throws<RequestError>(at("/proc"), {"encoder_cache_dir /proc", "cannot be written"}));
  EXPECT_TRUE(
      throws<RequestError>(at(folder.path(), kLeast - 1),
                           {"encoder_cache_dir_bytes is 1048575, expected at least 1048576"}));
}

TEST(EncoderStore, DamagedFilesAreMissesAndRemoved) {
  const TempFolder folder;
  EncoderStore store(folder.path(), kLeast, kModel);
  const std::string whole = feature_bytes({kModel, key(1)}, features(1));
  const std::size_t middle = whole.size() / 2;
  std::string flipped = whole;
  flipped[middle] = char(flipped[middle] ^ 4);
  const std::string other = feature_bytes({kModel, key(2)}, features(2));
  for (const std::string& bytes :
       {std::string(), whole.substr(0, 7), whole.substr(0, kFeatureHeaderBytes),
        whole.substr(0, middle), whole.substr(0, whole.size() - 1), whole + "x", flipped, other}) {
    folder.write(name_of(1), bytes);
    EXPECT_FALSE(finds(store, 1)) << bytes.size() << " bytes";
    EXPECT_FALSE(fs::exists(folder.path() / name_of(1)));
    store.put(key(1), features(1));
    EXPECT_TRUE(finds(store, 1)) << "and encoded features are kept again";
  }
  EXPECT_EQ(store.counts().failures, 0);
}

TEST(EncoderStore, OtherFilesAreNoneOfOurs) {
  const TempFolder folder;
  const fs::path mine = folder.write("holiday.features", std::string(kLeast, 'x'));
  const fs::path elsewhere =
      folder.write("elsewhere", feature_bytes({kModel, key(1)}, features(1)));
  fs::create_symlink(elsewhere, folder.path() / name_of(1));
  fs::create_directory(folder.path() / name_of(2));
  EncoderStore store(folder.path(), kLeast, kModel);
  EXPECT_FALSE(finds(store, 1)) << "a link is not followed";
  EXPECT_FALSE(finds(store, 2));
  for (std::uint64_t i = 3; i < 30; i++) store.put(key(i), features(i));
  EXPECT_TRUE(finds(store, 29));
  EXPECT_TRUE(fs::exists(elsewhere));
  EXPECT_EQ(fs::file_size(mine), std::uintmax_t(kLeast));
}

TEST(EncoderStore, WhatAKilledProcessLeftBehindIsRemoved) {
  const TempFolder folder;
  const std::string part = FeatureKey{kModel, key(1)}.name() + ".part";
  folder.write(part, std::string(kSize, 'x'));
  EncoderStore store(folder.path(), kLeast, kModel);
  EXPECT_FALSE(fs::exists(folder.path() / part));
  folder.write(part, "half");
  store.put(key(1), features(1));
  EXPECT_TRUE(finds(store, 1));
  EXPECT_EQ(all_bytes(folder.path()), kSize);
}

TEST(EncoderStore, ADamagedTotalIsCountedAnew) {
  const TempFolder folder;
  EncoderStore store(folder.path(), kLeast, kModel);
  for (const char* total : {"", "x", "-5\n", "99999999999999999999\n", "12", "900000000000\n"}) {
    folder.write("lock", total);
    for (std::uint64_t i = 0; i < 20; i++) store.put(key(i), features(i));
    EXPECT_LE(all_bytes(folder.path()), kLeast) << total;
    EXPECT_TRUE(finds(store, 19)) << total;
  }
  EXPECT_EQ(store.counts().failures, 0);
}

/// Runs `work` in a process of its own; its exit code is 1 where that is false.
pid_t in_child(const std::function<bool()>& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  ::_exit(work() ? 0 : 1);
}

int status_of(pid_t child) {
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(EncoderStoreProcesses, AFullDiskIsAFailureAndLeavesNothing) {
  const TempFolder folder;
  EXPECT_EQ(status_of(in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              EncoderStore store(folder.path(), kLeast, kModel);
              const rlimit limit{1000, 1000};  // of one file
              if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
              store.put(key(1), features(1));
              return store.counts().failures == 1 && store.counts().writes == 0 && !finds(store, 1);
            })),
            0);
  EXPECT_EQ(all_bytes(folder.path()), 0);
}

TEST(EncoderStoreProcesses, AHeldLockDelaysNobodyForLong) {
  const TempFolder folder;
  EncoderStore store(folder.path(), kLeast, kModel);
  store.put(key(1), features(1));
  // A lock belongs to an open file: one opened here is as good as another process'.
  const int lock = ::open((folder.path() / "lock").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(lock, LOCK_EX), 0);
  const auto start = std::chrono::steady_clock::now();
  store.put(key(2), features(2));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(store.counts().failures, 1);
  EXPECT_TRUE(finds(store, 1)) << "reading needs no lock";
  EncoderStore another(folder.path(), kLeast, kModel);  // nor does beginning
  EXPECT_TRUE(finds(another, 1));
  ::close(lock);
  store.put(key(2), features(2));
  EXPECT_TRUE(finds(store, 2));
}

TEST(EncoderStoreProcesses, TwoShareAFolderAndItsBound) {
  const TempFolder folder;
  const auto use = [&](std::uint64_t first) {
    return [&folder, first] {
      EncoderStore store(folder.path(), kLeast, kModel);
      for (std::uint64_t i = 0; i < 120; i++) {
        const std::uint64_t medium = first + i % 30;
        if (!store.find(key(medium), kWidth)) store.put(key(medium), features(medium));
        const auto found = store.find(key(medium), kWidth);
        if (found && !testing::same(*found, features(medium))) return false;
      }
      return store.counts().hits > 0;
    };
  };
  std::set<pid_t> running{in_child(use(0)), in_child(use(20))};
  std::int64_t most = 0;
  while (!running.empty()) {
    most = std::max(most, all_bytes(folder.path()));
    int status = 0;
    const pid_t child = ::waitpid(-1, &status, WNOHANG);
    if (running.erase(child) > 0) {
      EXPECT_EQ(status, 0) << "another medium's features, or a crash";
    }
  }
  // Who looks on while files are renamed may see some of them twice.
  EXPECT_LE(most, kLeast + 4 * kSize);
  EXPECT_LE(all_bytes(folder.path()), kLeast);
  EncoderStore store(folder.path(), kLeast, kModel);
  int found = 0;
  for (std::uint64_t i = 0; i < 50; i++) found += finds(store, i) ? 1 : 0;
  EXPECT_GE(found, 10);
}

TEST(EncoderStoreProcesses, KilledOnesLeaveNothingHalf) {
  const TempFolder folder;
  constexpr std::int64_t kRoomy = std::int64_t(1) << 30, kMany = 8000;  // 2 MB: takes a while
  const EncoderCache::Key large_key{{7, 8}, kMany};
  const Tensor large = random_features(7, kMany, kWidth);
  const fs::path file = folder.path() / (FeatureKey{kModel, large_key}.name() + ".features");
  for (int round = 0; round < 40; round++) {
    int begun[2];
    ASSERT_EQ(::pipe(begun), 0);
    const pid_t child = in_child([&] {
      EncoderStore store(folder.path(), kRoomy, kModel);
      for (bool told = false;; fs::remove(file)) {
        store.put(large_key, large);
        told = told || ::write(begun[1], "", 1) == 1;
      }
      return true;
    });
    char byte = 0;
    EXPECT_EQ(::read(begun[0], &byte, 1), 1);
    ::usleep(1'000 + 211 * useconds_t(round));
    ::kill(child, SIGKILL);
    EXPECT_TRUE(WIFSIGNALED(status_of(child)));
    for (const int end : begun) ::close(end);

    EncoderStore store(folder.path(), kRoomy, kModel);
    const bool there = fs::exists(file);
    const auto found = store.find(large_key, kWidth);
    EXPECT_EQ(found && testing::same(*found, large), there) << "a file that is half there";
    store.put(key(99), features(99));
    EXPECT_TRUE(finds(store, 99)) << "the lock outlived its holder";
    for (const auto& other : fs::directory_iterator(folder.path())) {
      EXPECT_NE(other.path().extension(), ".part") << other.path();
    }
    fs::remove(file);
  }
}

}  // namespace
}  // namespace chiasm
