// What LeakSanitizer shall not hold against us, so that it goes on looking for leaks of our own.

/// libsndfile forgets to give back what libvorbis took where it cannot open a damaged Ogg file (5.8
/// kB a file): no handle comes back that we could close. Visible, since the sanitizer may be a
/// shared library.
extern "C" __attribute__((visibility("default"))) const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "leak:libvorbis.so\nleak:libsndfile.so\n";
}
