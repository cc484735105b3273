"""The first screen of `--help` in Chinese; all else that the commands say is English."""

from __future__ import annotations

from collections.abc import Mapping

import click

_TITLE = "YOLO 模型手术：把大核可分离卷积注意力（LSKA）插入 Ultralytics 模型，并保留训练好的权重。"
_EXAMPLE = "lska-surgeon insert yolov8s.yaml --at neck --k 35"
_OPTIONS = (
    ("--lang [en|zh]", "本页帮助的语言；默认看 LANG。"),
    ("--version", "显示版本并退出。"),
    ("-h, --help", "显示本页并退出。"),
)
_GROUPS = {
    "Edit": "编辑模型 YAML",
    "Inspect": "查看",
    "Weights": "权重",
    "Experiments": "实验",
    "Environment": "环境",
}
_COMMANDS = {
    "insert": "在模型 YAML 的指定位置插入 LSKA。",
    "replace": "用别的模块替换若干行，或换掉整个主干。",
    "levels": "给输出层增加或去掉金字塔层级。",
    "remove": "逐字节还原改动，或按名称删去行。",
    "check": "找出模型 YAML 里的错误序号等问题。",
    "positions": "显示各层，以及可以插入的位置。",
    "diff": "说明两个模型差在哪里。",
    "flops": "统计参数量、MACs 和 FLOPs。",
    "curves": "显示开销随卷积核大小的变化。",
    "latency": "在本机测量模型的耗时。",
    "draw": "画出网络、插入位置，或两个网络的差别。",
    "inspect": "显示 checkpoint 里有什么。",
    "erf": "显示训练好的网络各层看到多大范围（有效感受野）。",
    "graft": "把 LSKA 加进训练好的 checkpoint，一个权重都不丢。",
    "ungraft": "再从 checkpoint 里取出来。",
    "adopt": "把分支或教程里的 checkpoint 改写成通用的。",
    "train": "像 Ultralytics 一样训练嫁接后的模型或变体。",
    "export": "为设备导出 checkpoint，并与 torch 的输出对照验证。",
    "templates": "可以直接用的配方和 CI 文件。",
    "variants": "写出配方要求的全部变体，并在 CI 里看住它们。",
    "ablate": "用多个随机种子训练配方的全部变体。",
    "results": "汇总训练结果，说明它们证明了什么。",
    "report": "把配方的全部变体写成一页网页。",
    "blocks": "列出已知的模块，声明你自己的模块。",
    "yolo": "运行 Ultralytics 自己的命令，并注册 LSKA。",
    "autoload": "让普通的 yolo 命令在此环境里认识 LSKA。",
    "doctor": "检查此环境里已知的问题。",
}


def write_help(groups: Mapping[str, Mapping[str, str]], formatter: click.HelpFormatter) -> None:
    """Write the screen.

    Args:
        groups: group of commands -> its commands -> what each does in English.
        formatter: takes the text.
    """
    formatter.write("用法：lska-surgeon [选项] 命令 [参数]...\n\n")
    formatter.write(f"  {_TITLE}\n\n  例如：\n    {_EXAMPLE}\n")
    sections: dict[str, tuple[tuple[str, str], ...]] = {"选项": _OPTIONS}
    sections |= {_GROUPS[name]: tuple((one, _COMMANDS[one]) for one in group) for name, group in groups.items()}
    width = max(len(name) for lines in sections.values() for name, _ in lines)
    for title, lines in sections.items():
        formatter.write(f"\n{title}：\n")
        for name, text in lines:
            formatter.write(f"  {name:{width}}  {text}\n")
    formatter.write(
        "\n  每个命令的全部选项：lska-surgeon 命令 --help（英文）。文档：README.zh-CN.md，以及 docs/ 里的各页。\n"
    )
