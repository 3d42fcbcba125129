#pragma once
/// Checks that work throws E, and that the message says what a user needs.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace chiasm::testing {

/// Success when `work` throws E (not another error) whose text holds every one of `words`.
template <class E, class Work>
::testing::AssertionResult throws(Work&& work, std::initializer_list<std::string_view> words) {
  try {
    work();
  } catch (const E& e) {
    const std::string_view text = e.what();
    for (const std::string_view word : words) {
      if (text.find(word) == std::string_view::npos) {
        return ::testing::AssertionFailure()
               << "\"" << text << "\" does not say \"" << word << "\"";
      }
    }
    return ::testing::AssertionSuccess();
  } catch (const std::exception& e) {
    return ::testing::AssertionFailure() << "threw another type, saying: " << e.what();
  }
  return ::testing::AssertionFailure() << "threw nothing";
}

}  // namespace chiasm::testing
