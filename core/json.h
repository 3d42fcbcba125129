#pragma once
/// Strict reading of JSON configuration: every error names the file and the path of the value.
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chiasm {

/// A read-only value inside a parsed document, which it keeps alive. Cheap to copy.
/// Duplicate keys, invalid UTF-8, trailing bytes and nesting deeper than 64 are FormatErrors.
class Json {
 public:
  /// Parses `bytes`; `file` names them in errors.
  static Json parse(std::string_view bytes, std::string file);
  /// Reads and parses a file of at most `max_bytes`. ModelError when it cannot be read.
  static Json load(const std::filesystem::path& path, std::size_t max_bytes = std::size_t(256)
                                                                              << 20);

  bool is_null() const { return node_->is_null(); }
  bool is_object() const { return node_->is_object(); }
  bool is_array() const { return node_->is_array(); }
  bool is_string() const { return node_->is_string(); }
  bool is_number() const { return node_->is_number(); }
  bool is_boolean() const { return node_->is_boolean(); }

  /// Whether this is an object that has `key` with a value other than null.
  bool has(std::string_view key) const;
  /// The member `key`; FormatError when missing or when this is no object.
  Json operator[](std::string_view key) const;
  /// The element `i`; FormatError when out of range or when this is no array.
  Json operator[](std::size_t i) const;
  /// Members of an object, elements of an array, else 0.
  std::size_t size() const { return node_->is_structured() ? node_->size() : 0; }

  /// The value as a type; FormatError when it is of another or out of range. `number` also takes
  /// transformers 5's {"__float__": "Infinity"}.
  std::string str() const;
  std::int64_t integer() const;
  double number() const;
  bool boolean() const;
  std::vector<std::int64_t> integers() const;

  /// The member `key`, or `otherwise` when it is missing or null.
  std::string str(std::string_view key, std::string_view otherwise) const;
  std::int64_t integer(std::string_view key, std::int64_t otherwise) const;
  double number(std::string_view key, double otherwise) const;
  bool boolean(std::string_view key, bool otherwise) const;

  /// "config.json: text_config.num_hidden_layers": for errors about this value.
  std::string where() const;
  /// The value for errors: as JSON, cut after some 60 bytes, or "array" or "object".
  std::string brief() const;
  /// The underlying node, for loops over large tables.
  const nlohmann::json& raw() const { return *node_; }

 private:
  Json(std::shared_ptr<const nlohmann::json> root, const nlohmann::json* node, std::string file,
       std::string path)
      : root_(std::move(root)), node_(node), file_(std::move(file)), path_(std::move(path)) {}

  std::shared_ptr<const nlohmann::json> root_;
  const nlohmann::json* node_;
  std::string file_, path_;
};

/// The whole file, or all that a pipe gives, as bytes; ModelError when it cannot be read or is over
/// `max_bytes`.
std::string read_file(const std::filesystem::path& path, std::size_t max_bytes);

}  // namespace chiasm
