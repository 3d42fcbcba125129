// Parts of one call on threads of their own, heard by the caller's.
#include "runtime/drivers.h"

#include <gtest/gtest.h>

#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/error.h"
#include "tests/support/expect_error.h"

namespace chiasm {
namespace {

using namespace chiasm::testing;

/// Tells of `count` requests, one after the other.
Driver finishes(std::size_t count) {
  return [count](const Poll&, const OnDone& on_done) {
    for (std::size_t i = 1; i <= count; i++) on_done(i);
  };
}

/// Goes on until it is told to leave, and says so.
Driver leaves_when_told(bool& left) {
  return [&left](const Poll& poll, const OnDone&) {
    while (!poll()) std::this_thread::yield();
    left = true;
    fail<Interrupted>("told to leave");
  };
}

TEST(Drivers, TheCallersThreadHearsTheSum) {
  const std::vector<Driver> drivers{finishes(3), finishes(0), finishes(4)};
  std::vector<std::size_t> told;
  const auto here = std::this_thread::get_id();
  drive_all(drivers, {}, [&](std::size_t done) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    told.push_back(done);
  });
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back(), 7);
  EXPECT_TRUE(std::ranges::is_sorted(told));
  drive_all(drivers, {}, {});
}

TEST(Drivers, TheFirstErrorIsThrownOnceAllHaveLeft) {
  bool left = false;
  const std::vector<Driver> drivers{leaves_when_told(left), [](const Poll&, const OnDone&) {
                                      fail<DeviceError>("cuda:1 was lost");
                                    }};
  EXPECT_TRUE(throws<DeviceError>([&] { drive_all(drivers, {}, {}); }, {"cuda:1 was lost"}));
  EXPECT_TRUE(left);
}

TEST(Drivers, AnInterruptionIsHeardWhileNothingIsDone) {
  bool first = false, second = false;
  const std::vector<Driver> drivers{leaves_when_told(first), leaves_when_told(second)};
  int polls = 0;
  EXPECT_TRUE(throws<Interrupted>([&] { drive_all(drivers, [&] { return ++polls == 2; }, {}); },
                                  {"interrupted by the caller"}));
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
}

TEST(Drivers, WhatTheCallerThrowsStopsThem) {
  bool left = false;
  const std::vector<Driver> drivers{leaves_when_told(left), finishes(1)};
  EXPECT_THROW(
      drive_all(drivers, {}, [](std::size_t) { throw std::runtime_error("the caller's own"); }),
      std::runtime_error);
  EXPECT_TRUE(left);
}

}  // namespace
}  // namespace chiasm
