{
  "targets": [
    {
      "target_name": "cooperator",
      "sources": [
        "src/native/arguments.cc",
        "src/native/descriptors.cc",
        "src/native/environment.cc",
        "src/native/layout.cc",
        "src/native/layout-files.cc",
        "src/native/layout-flags.cc",
        "src/native/layout-opcodes.cc",
        "src/native/layout-sockets.cc",
        "src/native/layout-structs.cc",
        "src/native/module.cc",
        "src/native/ring-buffers.cc",
        "src/native/ring-calls.cc",
        "src/native/ring-close.cc",
        "src/native/ring-memory.cc",
        "src/native/ring-object.cc",
        "src/native/ring-register.cc",
        "src/native/ring-request.cc",
        "src/native/ring-setup.cc",
        "src/native/watch.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS"],
      "conditions": [
        [
          "OS=='linux'",
          {
            "cflags!": ["-O3"],
            "cflags": [
              "-O2",
              "-Wall",
              "-Wextra",
              "-Werror",
              "-fvisibility=hidden",
              "-fstack-protector-strong",
              "-U_FORTIFY_SOURCE",
              "-D_FORTIFY_SOURCE=2"
            ],
            "cflags_cc!": ["-std=gnu++20", "-std=gnu++17"],
            "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti"],
            "ldflags": ["-Wl,-z,relro,-z,now", "-Wl,-s"],
            "conditions": [["target_arch=='x64'", { "cflags": ["-fcf-protection"] }]]
          }
        ]
      ]
    }
  ]
}
