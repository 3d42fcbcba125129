#pragma once
/// Errors with context. A message reads outside-in:
/// "model.safetensors: vision.blocks.3: norm1.weight: shape [768], expected [1024]".
#include <exception>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace chiasm {

/// Base of every error Chiasm throws. Python sees `chiasm.Error`.
class Error : public std::exception {
 public:
  explicit Error(std::string message) : message_(std::move(message)) {}
  /// Puts `where` before the message: callers add what they know as the error travels outwards.
  void add_context(std::string_view where) { message_.insert(0, std::string(where) + ": "); }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

/// An argument's shape does not fit. Surfaces as ModelError or RequestError at the public API.
struct ShapeError : Error {
  using Error::Error;
};
/// The bytes of a file are not what their format demands; names path and offset.
/// Surfaces as ModelError at the public API.
struct FormatError : Error {
  using Error::Error;
};
/// The model folder is missing, incomplete, inconsistent or of an unsupported family.
struct ModelError : Error {
  using Error::Error;
};
/// A picture or sound is missing, damaged, of an unknown format or over a limit.
struct MediaError : Error {
  using Error::Error;
};
/// A request cannot be served as asked: settings out of range, too long, placeholders that do not
/// fit.
struct RequestError : Error {
  using Error::Error;
};
/// A backend, instruction set, driver or device is absent.
struct DeviceError : Error {
  using Error::Error;
};
/// The caller asked to stop (Ctrl-C); work already done is discarded.
struct Interrupted : Error {
  using Error::Error;
};

/// Throws E with the parts written one after the other.
template <class E, class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw E(text.str());
}

/// Runs `work`; an Error leaving it gains `where` and keeps its own type.
template <class Work>
decltype(auto) in_context(std::string_view where, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (Error& e) {
    e.add_context(where);
    throw;
  }
}

}  // namespace chiasm
