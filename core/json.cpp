#include "core/json.h"

#include <cmath>
#include <fstream>
#include <limits>
#include <set>

#include "core/error.h"

namespace chiasm {

namespace {

constexpr std::size_t kReadStep = std::size_t(1) << 20;  // of pipes, whose length nobody knows
constexpr int kMaxDepth = 64;  // deeper nesting is an attack on the stack, not a configuration

/// Watches the parse for duplicate keys and deep nesting, which nlohmann-json lets pass.
class Guard {
 public:
  explicit Guard(const std::string& file) : file_(file) {}
  bool operator()(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (depth > kMaxDepth) fail<FormatError>(file_, ": nested deeper than ", kMaxDepth, " levels");
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key && !keys_.back().insert(value.get_ref<const std::string&>()).second) {
      fail<FormatError>(file_, ": duplicate key \"", value.get_ref<const std::string&>(), "\"");
    }
    return true;
  }

 private:
  const std::string& file_;
  std::vector<std::set<std::string>> keys_;
};

constexpr std::string_view kInfinity = "Infinity";

/// Numbers that Python's json writes as Infinity and -Infinity, in transformers 5's form. JSON has
/// no such numbers; config.json files of Mamba 2 do.
std::string with_infinities_as_objects(std::string_view bytes) {
  std::string out;
  bool quoted = false;
  for (std::size_t at = 0; at < bytes.size();) {
    if (!quoted && bytes.substr(at).starts_with(kInfinity)) {
      const bool negative = out.ends_with('-');
      if (negative) out.pop_back();
      out.append(negative ? R"({"__float__":"-Infinity"})" : R"({"__float__":"Infinity"})");
      at += kInfinity.size();
      continue;
    }
    if (bytes[at] == '"') quoted = !quoted;
    if (quoted && bytes[at] == '\\' && at + 1 < bytes.size()) out += bytes[at++];
    out += bytes[at++];
  }
  return out;
}

}  // namespace

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) {
    fail<ModelError>(path.string(), ": is a folder, expected a file");
  }
  std::ifstream in(path, std::ios::binary);
  if (!in)
    fail<ModelError>(path.string(), ": cannot be opened; does it exist and may you read it?");
  const std::uintmax_t size =
      std::filesystem::is_regular_file(path, code) ? std::filesystem::file_size(path, code) : 0;
  if (!code && size > max_bytes) {
    fail<ModelError>(path.string(), ": ", size, " bytes, over the limit of ", max_bytes);
  }
  std::string bytes;
  std::size_t step = code || size == 0 ? kReadStep : std::size_t(size) + 1;  // 1 more shows the end
  while (in) {
    const std::size_t had = bytes.size();
    bytes.resize(had + step);
    in.read(bytes.data() + had, std::streamsize(step));
    bytes.resize(had + std::size_t(in.gcount()));
    if (bytes.size() > max_bytes) {
      fail<ModelError>(path.string(), ": more bytes than the limit of ", max_bytes);
    }
    step = kReadStep;
  }
  if (in.bad()) fail<ModelError>(path.string(), ": read failed");
  return bytes;
}

Json Json::parse(std::string_view bytes, std::string file) {
  const auto read = [&](std::string_view text) {
    Guard guard(file);
    auto root = std::make_shared<const nlohmann::json>(
        nlohmann::json::parse(text.begin(), text.end(), std::ref(guard)));
    const auto* node = root.get();
    return Json(std::move(root), node, std::move(file), "");
  };
  try {
    if (bytes.find(kInfinity) == std::string_view::npos) return read(bytes);
    return read(with_infinities_as_objects(bytes));
  } catch (const nlohmann::json::exception& e) {
    fail<FormatError>(file, ": not valid JSON: ", e.what());
  }
}

Json Json::load(const std::filesystem::path& path, std::size_t max_bytes) {
  return parse(read_file(path, max_bytes), path.filename().string());
}

std::string Json::where() const { return path_.empty() ? file_ : file_ + ": " + path_; }

std::string Json::brief() const {
  if (node_->is_structured()) return node_->type_name();
  std::string text = node_->dump(-1, ' ', /*ensure_ascii=*/true);
  constexpr std::size_t kLimit = 60;
  if (text.size() > kLimit) text.replace(kLimit, std::string::npos, "...");
  return text;
}

bool Json::has(std::string_view key) const {
  if (!node_->is_object()) return false;
  const auto it = node_->find(std::string(key));
  return it != node_->end() && !it->is_null();
}

Json Json::operator[](std::string_view key) const {
  if (!node_->is_object())
    fail<FormatError>(where(), ": expected an object, got ", node_->type_name());
  const auto it = node_->find(std::string(key));
  if (it == node_->end()) fail<FormatError>(where(), ": missing key \"", key, "\"");
  return Json(root_, &*it, file_,
              path_.empty() ? std::string(key) : path_ + "." + std::string(key));
}

Json Json::operator[](std::size_t i) const {
  if (!node_->is_array())
    fail<FormatError>(where(), ": expected an array, got ", node_->type_name());
  if (i >= node_->size())
    fail<FormatError>(where(), ": no element ", i, " in an array of ", size());
  return Json(root_, &(*node_)[i], file_, path_ + "[" + std::to_string(i) + "]");
}

std::string Json::str() const {
  if (!node_->is_string())
    fail<FormatError>(where(), ": expected a string, got ", node_->type_name());
  return node_->get<std::string>();
}

std::int64_t Json::integer() const {
  if (node_->is_number_unsigned()) {
    const auto v = node_->get<std::uint64_t>();
    if (v <= std::uint64_t(std::numeric_limits<std::int64_t>::max())) return std::int64_t(v);
    fail<FormatError>(where(), ": ", v, " is too large");
  }
  if (node_->is_number_integer()) return node_->get<std::int64_t>();
  if (node_->is_number_float()) {  // some exporters write whole numbers as 512.0
    const auto v = node_->get<double>();
    if (v == std::floor(v) && std::abs(v) < 0x1p53) return std::int64_t(v);
  }
  fail<FormatError>(where(), ": expected a whole number, got ", brief());
}

double Json::number() const {
  if (node_->is_number()) return node_->get<double>();
  if (has("__float__")) {
    const std::string text = (*this)["__float__"].str();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  }
  fail<FormatError>(where(), ": expected a number, got ", node_->type_name());
}

bool Json::boolean() const {
  if (!node_->is_boolean()) {
    fail<FormatError>(where(), ": expected true or false, got ", node_->type_name());
  }
  return node_->get<bool>();
}

std::vector<std::int64_t> Json::integers() const {
  if (!node_->is_array())
    fail<FormatError>(where(), ": expected an array, got ", node_->type_name());
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < size(); i++) out.push_back((*this)[i].integer());
  return out;
}

std::string Json::str(std::string_view key, std::string_view otherwise) const {
  return has(key) ? (*this)[key].str() : std::string(otherwise);
}
std::int64_t Json::integer(std::string_view key, std::int64_t otherwise) const {
  return has(key) ? (*this)[key].integer() : otherwise;
}
double Json::number(std::string_view key, double otherwise) const {
  return has(key) ? (*this)[key].number() : otherwise;
}
bool Json::boolean(std::string_view key, bool otherwise) const {
  return has(key) ? (*this)[key].boolean() : otherwise;
}

}  // namespace chiasm
