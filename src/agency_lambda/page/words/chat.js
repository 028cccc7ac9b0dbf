export default {
  en: { message: "Message", send: "Send", stop: "Stop", welcome: "What can the agents do for you?" },
  de: { message: "Nachricht", send: "Senden", stop: "Anhalten", welcome: "Was können die Agenten für Sie tun?" },
  zh: { message: "消息", send: "发送", stop: "停止", welcome: "智能体可以帮您做什么？" },
};
